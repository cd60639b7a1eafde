"""Comments that silence advice: ``# lint: ignore=W06``, at a line's end or on a line before.

A comment at the end of an instruction, or on a line of its own before it, speaks of the whole instruction. Between the
lines of an instruction it speaks of the next line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubeimage.errors import Diagnostic, Location
from kubeimage.kubefile.codes import Advice
from kubeimage.kubefile.instructions import Kubefile
from kubeimage.kubefile.source import BLANKS, is_comment
from kubeimage.patterns import pattern

_MARK = pattern(rf"(?:^|[{BLANKS}])#[{BLANKS}]*lint:[{BLANKS}]*ignore=(?P<codes>[^{BLANKS}#]*)[{BLANKS}]*$")
_CONTEXT_CODE = pattern(r"E03\d\d")


class Ignores:
    """What the comments of one Kubefile silence."""

    def __init__(self, kubefile: Kubefile) -> None:
        self._kubefile = kubefile
        self._codes: dict[int, set[str]] = {}
        self.complaints: list[Diagnostic] = []
        for number, line in enumerate(kubefile.source.lines, start=1):
            # Most lines have no such comment: a search for a word is much faster than for a pattern.
            found = _MARK.search(line) if "ignore=" in line else None
            if found:
                self._take(number, found)

    def silence(self, code: str, line: int) -> bool:
        """Say whether a comment silences ``code`` on ``line`` (from 1)."""
        return code in self._codes.get(line, ())

    def _take(self, number: int, found: re.Match[str]) -> None:
        codes = [code for code in found["codes"].split(",") if code]
        for code in codes:
            if not is_ignorable(code):
                self.complaints.append(self._complaint(code, number, found))
        for line in self._lines_meant(number):
            self._codes.setdefault(line, set()).update(codes)

    def _lines_meant(self, number: int) -> Iterator[int]:
        lines = self._kubefile.source.lines
        alone = is_comment(lines[number - 1])
        if alone:
            rest = (at for at in range(number + 1, len(lines) + 1) if lines[at - 1].strip(BLANKS))
            number = next((at for at in rest if not is_comment(lines[at - 1])), number)
        yield number
        for instruction in self._kubefile.instructions:
            span = instruction.span
            if number == (span.first_line if alone else span.last_line):
                yield from range(span.first_line, span.last_line + 1)

    def _complaint(self, code: str, number: int, found: re.Match[str]) -> Diagnostic:
        start = found.start("codes") + found["codes"].find(code)
        place = Location(self._kubefile.file, number, start + 1, found.string, len(code))
        message = f"{code[:60]} is no advice, so this comment does not silence it"
        return Diagnostic(Advice.BAD_IGNORE.code, message, place, "name codes such as W06, parted by commas", "warning")


def is_ignorable(code: str) -> bool:
    """Return whether people may silence ``code``: all advice, and what is wrong with a COPY's sources."""
    return any(code == advice.code for advice in Advice) or _CONTEXT_CODE.fullmatch(code) is not None
