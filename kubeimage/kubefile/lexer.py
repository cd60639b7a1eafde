r"""Bytes to text, and text to logical lines.

A logical line is one or more physical lines. A line that ends in an odd number of ``\`` (blanks after it allowed) goes
on in the next one. Comment lines and blank lines are passed over everywhere, between continued lines too. The end of
the file ends the last line, and a backslash that would go on in nothing is left out. Joined lines keep their own
leading blanks.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kubeimage.errors import Diagnostic, KubefileError, Location
from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.source import BLANKS, Source, Span, ends_in_odd_backslash, is_comment
from kubeimage.patterns import pattern

_UNFIT = pattern("[\x00\ud800-\udfff]")
_SURROGATES = "[\ud800-\udfff]"
_MOST_UNFIT_LINES = 10


class LogicalLine(NamedTuple):
    """Physical lines joined into one, and the way back from each character to its place.

    Shape: piece ``i`` of ``text`` starts at ``offsets[i]`` and comes from the start of physical line ``numbers[i]``.
    """

    source: Source
    text: str
    offsets: tuple[int, ...]
    numbers: tuple[int, ...]

    def piece(self, offset: int) -> int:
        """Return the index of the piece that the character at ``offset`` comes from."""
        return bisect_right(self.offsets, offset) - 1

    def span(self, start: int, end: int) -> Span:
        """Mark the characters from ``start`` to ``end``: as many as stand on the first one's physical line."""
        first, last = self.piece(start), self.piece(max(start, end - 1))
        piece_end = self.offsets[first + 1] if first + 1 < len(self.offsets) else len(self.text)
        marked = self.text[start : min(end, piece_end)].rstrip(BLANKS)
        column = start - self.offsets[first] + 1
        return self.source.span(self.numbers[first], self.numbers[last], column, max(1, len(marked)))


def decode(data: str | bytes, file: str) -> Source:
    """Read a Kubefile's text; a byte order mark is left out.

    Raises: KubefileError for bytes that are not UTF-8, and for NUL characters.
    """
    text = data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
    source = Source(file, text.removeprefix("\N{BYTE ORDER MARK}"))
    if _UNFIT.search(source.text):
        raise KubefileError(_unfit_lines(source))
    return source


def logical_lines(source: Source) -> Iterator[LogicalLine]:
    """Join continued lines, and leave out comments and blank lines."""
    pieces: list[tuple[int, str]] = []
    for number, line in enumerate(source.lines, start=1):
        text = line.rstrip(BLANKS)
        if not text or is_comment(text):
            continue
        if ends_in_odd_backslash(text):
            pieces.append((number, text[:-1]))
        else:
            yield join(source, [*pieces, (number, text)])
            pieces = []
    if pieces:
        yield _ended(join(source, pieces))


def _ended(line: LogicalLine) -> LogicalLine:
    r"""Take the backslashes off that the end of the file leaves with nothing to go on in: ``a \ \`` is ``a``."""
    text = line.text.rstrip(BLANKS)
    while ends_in_odd_backslash(text):
        text = text[:-1].rstrip(BLANKS)
    return line._replace(text=text)


def join(source: Source, pieces: Sequence[tuple[int, str]]) -> LogicalLine:
    offsets, length = [], 0
    for _, text in pieces:
        offsets.append(length)
        length += len(text)
    return LogicalLine(
        source, "".join(text for _, text in pieces), tuple(offsets), tuple(number for number, _ in pieces)
    )


def _unfit_lines(source: Source) -> list[Diagnostic]:
    """One diagnostic a line, for the first of them: somebody may have given a binary file."""
    places = [
        (number, found)
        for number, line in enumerate(source.lines, start=1)
        if (found := _UNFIT.search(line)) is not None
    ]
    diagnostics = [_unfit(source.file, *place) for place in places[:_MOST_UNFIT_LINES]]
    more = len(places) - len(diagnostics)
    if more > 0:
        number, found = places[_MOST_UNFIT_LINES]
        rest = Location(source.file, number, found.start() + 1)
        diagnostics.append(Diagnostic(Mistake.NOT_UTF8.code, f"{more} more such lines", rest, "is this a text file?"))
    return diagnostics


def _unfit(file: str, number: int, found: re.Match[str]) -> Diagnostic:
    shown = re.sub(_SURROGATES, "\N{REPLACEMENT CHARACTER}", found.string)
    location = Location(file, number, found.start() + 1, shown)
    value = ord(found[0])
    if value == 0:
        return Diagnostic(Mistake.NUL.code, "a NUL character, which no Kubefile can hold", location, "take it out")
    what = f"byte 0x{value - 0xDC00:02x}" if 0xDC80 <= value <= 0xDCFF else f"the lone surrogate U+{value:04X}"
    return Diagnostic(Mistake.NOT_UTF8.code, f"not UTF-8 text: found {what}", location, "save the file as UTF-8")
