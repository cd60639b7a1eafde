"""Here-documents, which this language does not have: an instruction is one line to the shell."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property

from kubeimage.kubefile.source import BLANKS, Source
from kubeimage.patterns import pattern

# A letter must follow: 1<<2 is arithmetic, and <<< is a here-string.
HERE_DOCUMENT = pattern(rf"(?<!<)(<<(?P<dash>-?)[{BLANKS}]*[\\'\x22]?(?P<name>[A-Za-z_]\w*))")
HINT = "an instruction is one line to the shell: COPY the text as a file, or write it with printf"


def begins_document(text: str) -> re.Match[str] | None:
    """Return where ``text`` begins a here-document whose lines are not in it; None where it begins none."""
    found = HERE_DOCUMENT.search(text)
    if found is None or "\n" in text[found.end() :] or "((" in text[: found.start()]:
        return None
    return found


class Ends:
    """The lines of a file that may end a here-document: each file is looked through once, however many there are."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @cached_property
    def _lines(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, line in enumerate(self._source.lines, start=1):
            found.setdefault(line.lstrip("\t"), []).append(number)
        return found

    def after(self, found: re.Match[str], line: int) -> int | None:
        """Return the line (from 1) that would end the here-document which begins on ``line``; None where none does."""
        numbers = self._lines.get(found["name"], [])
        later = numbers[bisect_right(numbers, line) :]
        if found["dash"]:
            return later[0] if later else None
        return next((number for number in later if self._source.line(number) == found["name"]), None)
