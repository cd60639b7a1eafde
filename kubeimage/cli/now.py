"""What is going on in this moment, for whoever draws it."""

from __future__ import annotations

import time
from collections import deque

_MOST_LINES = 8
_SECONDS_TO_JUDGE = 0.2


class Bar:
    """Bytes on their way. Units: ``done`` and ``total`` in bytes."""

    def __init__(self, label: str, done: int, total: int) -> None:
        self.label = label
        self.done = done
        self.total = total
        self._first = done
        self._since = time.monotonic()

    @property
    def rate(self) -> float:
        """Return the bytes a second since somebody watches; 0 as long as nothing can be said."""
        elapsed = time.monotonic() - self._since
        return max(self.done - self._first, 0) / elapsed if elapsed > _SECONDS_TO_JUDGE else 0.0


class Now:
    """What is going on.

    Shape: ``since`` is None where nothing is. ``said`` tells how far it is. ``lines`` are a RUN's latest. ``bars`` go
           by what moves.
    Units: ``since`` on the monotonic clock, in seconds.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self.said = ""
        self.lines: deque[str] = deque(maxlen=_MOST_LINES)
        self.bars: dict[object, Bar] = {}

    def begin(self) -> None:
        """Something begins."""
        self.end()
        self.since = time.monotonic()

    def end(self) -> None:
        """It is over."""
        self.since = None
        self.said = ""
        self.lines.clear()
        self.bars.clear()

    def moved(self, key: object, label: str, done: int, total: int) -> None:
        """Bytes have moved."""
        bar = self.bars.get(key)
        if bar is None:
            self.bars[key] = Bar(label, done, total)
        else:
            bar.done, bar.total = done, total

    def arrived(self, key: object) -> None:
        """All bytes have moved."""
        self.bars.pop(key, None)
