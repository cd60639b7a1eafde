"""Places in a Kubefile: its physical lines, and spans that can show themselves with a caret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from functools import cached_property

from kubeimage.errors import Location
from kubeimage.patterns import pattern
from kubeimage.values import dataclass

BLANKS = " \t\r"

_FIRST_WORD = pattern(rf"[^{BLANKS}]*+")
_WORD_STARTS = rf"(?<![^{BLANKS}\"'\[,])"
_WORD_ENDS = rf"(?![^{BLANKS}\"'\],])"


@dataclass(frozen=True)
class Source:
    """A Kubefile's text and the name it goes by.

    Shape: ``text`` has no byte order mark; a line ends at each line feed, and nowhere else.
    """

    file: str
    text: str

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The physical lines, without their ends."""
        return tuple(line.rstrip("\r") for line in self.text.split("\n"))

    def line(self, number: int) -> str:
        """Return a physical line, counted from 1; past either end of the file there is nothing."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def span(self, first_line: int, last_line: int, column: int, length: int) -> Span:
        """Mark ``length`` characters from ``column`` on, in something that ends on ``last_line``."""
        return Span(self.file, first_line, last_line, column, length, self.lines[first_line - 1 : last_line])


@dataclass(frozen=True)
class Span:
    """Where something stands in a physical file.

    Shape: ``lines`` are the physical lines from ``first_line`` to ``last_line``.
    Units: lines and ``column`` count from 1; ``length`` is in characters, all of them on the first line.
    """

    file: str
    first_line: int
    last_line: int
    column: int
    length: int = 1
    lines: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def location(self) -> Location:
        """The first line, marked."""
        text = self.lines[0] if self.lines else ""
        return Location(self.file, self.first_line, self.column, text, self.length)

    def find_all(self, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], Span]]:
        """Find ``pattern`` behind an instruction's keyword, and where; comment lines are passed over."""
        for index, line in enumerate(self.lines):
            if is_comment(line):
                continue
            number = self.first_line + index
            for found in pattern.finditer(line, self._value_column if index == 0 else 0):
                start, end = found.span()
                yield found, Span(self.file, number, number, start + 1, max(1, end - start), (line,))

    def search(self, pattern: re.Pattern[str]) -> Span:
        """Narrow an instruction's span to what ``pattern`` finds first; itself if it finds nothing."""
        return next((span for _, span in self.find_all(pattern)), self)

    def word(self, text: str) -> Span:
        """Narrow an instruction's span to the word ``text``; itself if the file spells it another way."""
        return self.search(re.compile(_WORD_STARTS + re.escape(text) + _WORD_ENDS))

    @property
    def _value_column(self) -> int:
        found = _FIRST_WORD.match(self.lines[0], self.column - 1)
        return found.end() if found else 0


NOWHERE = Span("(made by a program)", 1, 1, 1)


def is_comment(line: str) -> bool:
    """Whether the first character of ``line`` that is not blank is ``#``."""
    return line.lstrip(BLANKS).startswith("#")


def ends_in_odd_backslash(text: str) -> bool:
    """Whether ``text`` ends in a backslash that no other one escapes."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1
