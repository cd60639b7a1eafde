"""A logical line cut into keyword and value, and what the grammars have to say against it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kubeimage.errors import Diagnostic
from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.lexer import LogicalLine
from kubeimage.kubefile.source import BLANKS, Span
from kubeimage.patterns import pattern

_KEYWORD = pattern(rf"[{BLANKS}]*+(?P<keyword>[^{BLANKS}]*+)[{BLANKS}]*+")
_LONGEST_QUOTE = 60


class Problem(NamedTuple):
    """What is wrong with a text, wherever it stands."""

    mistake: Mistake
    message: str
    hint: str | None = None


class Statement(NamedTuple):
    """An instruction before anybody has understood it.

    Shape: ``start``, ``value_start`` and ``end`` are offsets into ``line.text``: of the keyword, of what follows it,
           and behind the last character that is not blank. ``complaints`` is shared by all statements of a file.
    """

    line: LogicalLine
    keyword: str
    start: int
    value_start: int
    end: int
    complaints: list[Diagnostic]

    @classmethod
    def split(cls, line: LogicalLine, complaints: list[Diagnostic]) -> Statement | None:
        """Split ``line``; there is nothing to split in a line made of continuations alone."""
        end = len(line.text.rstrip(BLANKS))
        found = _KEYWORD.match(line.text, 0, end)
        if found is None or not found["keyword"]:
            return None
        return cls(line, found["keyword"], found.start("keyword"), found.end(), end, complaints)

    @property
    def text(self) -> str:
        """The whole logical line."""
        return self.line.text

    @property
    def value(self) -> str:
        """What follows the keyword, as it stands there."""
        return self.line.text[self.value_start : self.end]

    @property
    def span(self) -> Span:
        """Where the instruction stands."""
        return self.line.span(self.start, self.end)

    def complain(self, problem: Problem, start: int | None = None, end: int | None = None) -> None:
        """Note a mistake at the characters from ``start`` to ``end``: by default, at the whole instruction."""
        location = self.line.span(self.start if start is None else start, self.end if end is None else end).location
        self.complaints.append(Diagnostic(problem.mistake.code, problem.message, location, problem.hint))


def cut(text: str) -> str:
    """Return ``text``, or the start of a long one."""
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"


def quoted(text: str) -> str:
    """Quote input in a message; a long one is cut."""
    return repr(cut(text))


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that ``word`` was probably meant to be."""
    if len(word) > _LONGEST_QUOTE:
        return None
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), n=1)), None)
