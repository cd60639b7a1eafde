"""The limit of a test's time, kept by one thread for all tests: one for each costs more than most tests do."""

import os
import threading
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

EVERY = 1.0
"""How often it is looked at the clock. Units: seconds."""


class _Guarded(NamedTuple):
    until: float
    on_end: Callable[[], object]


class Watchdog:
    """A thread that does something about whatever lasts too long."""

    def __init__(self) -> None:
        self._guarded: _Guarded | None = None
        self._process = 0

    def guard(self, seconds: float, on_end: Callable[[], object]) -> None:
        """Call ``on_end`` where nobody calls `release` within so many seconds."""
        self._guarded = _Guarded(monotonic() + seconds, on_end)
        # A forked process has none of the threads.
        if self._process != os.getpid():
            self._process = os.getpid()
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def release(self) -> None:
        """Say that it came to its end."""
        self._guarded = None

    def _watch(self) -> None:
        # Not `time.sleep`, which tests replace.
        clock = threading.Event()
        while not clock.wait(EVERY):
            guarded = self._guarded
            if guarded is not None and monotonic() > guarded.until:
                self._guarded = None
                guarded.on_end()
