"""How soon a registry may be asked again: one that wants fewer requests is left alone by all who ask it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pace:
    """The pace of one registry, for any number of threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until = 0.0

    def hold(self, seconds: float) -> None:
        """Keep everybody from asking for so many seconds."""
        with self._lock:
            self._until = max(self._until, self._clock() + seconds)

    def left(self) -> float:
        """Return how many seconds are left until the registry may be asked."""
        with self._lock:
            return max(self._until - self._clock(), 0.0)
