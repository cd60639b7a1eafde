"""Many small decisions by few draws.

A draw of Hypothesis takes longer than a build in memory. So a record of bytes is drawn at once, and each byte of it
decides something. Hypothesis makes each byte smaller by itself, and 0 is always the simplest choice: records shrink as
far as draws of their own would. All records have one size, so that Hypothesis can put one in the place of another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

_T = TypeVar("_T")

RECORD = 24
"""Bytes of a record."""
_RECORDS = st.binary(min_size=RECORD, max_size=RECORD)


class Part:
    """Some bytes of a record, one after the other; behind their end all are 0."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, bound: int) -> int:
        """Return a number from 0 to ``bound`` - 1. Shape: ``bound`` is at most 65,536."""
        at = self._at
        if bound <= 256:
            self._at = at + 1
            return self._data[at] % bound if at < len(self._data) else 0
        self._at = at + 2
        return int.from_bytes(self._data[at : at + 2], "big") % bound

    def pick(self, choices: Sequence[_T]) -> _T:
        """Return one of ``choices``, the first for 0."""
        return choices[self.below(len(choices))]


class Dice:
    """Records, drawn when they are needed."""

    __slots__ = ("_at", "_draw", "_record")

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._record = b""
        self._at = 0

    def part(self, size: int) -> Part:
        """Return the next ``size`` bytes, at most `RECORD`: all of one record."""
        at = self._at
        if len(self._record) - at < size:
            self._record, at = self._draw(_RECORDS), 0
        self._at = at + size
        return Part(self._record[at : self._at])


@st.composite
def _read(draw: st.DrawFn, read: Callable[[Dice], _T]) -> _T:
    return read(Dice(draw))


def records(read: Callable[[Dice], _T]) -> SearchStrategy[_T]:
    """Generate what ``read`` makes of records."""
    return _read(read)
