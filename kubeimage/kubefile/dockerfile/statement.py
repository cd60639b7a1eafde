"""A statement while one of Docker's instructions is read from it."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.dockerfile.lines import HereDocument
from kubeimage.kubefile.dockerfile.words import split_words
from kubeimage.kubefile.source import BLANKS, Span
from kubeimage.kubefile.statement import Problem, Statement

_FLAG = re.compile(rf"--(?P<name>[a-z-]+)(?:=(?P<value>[^{BLANKS}]*))?(?:[{BLANKS}]+|$)")


class Reading(NamedTuple):
    """A statement that is being read."""

    statement: Statement
    documents: tuple[HereDocument, ...]
    escape: str

    @property
    def keyword(self) -> str:
        """The instruction's name, in upper case."""
        return self.statement.keyword.upper()

    @property
    def text(self) -> str:
        """What follows the keyword."""
        return self.statement.value

    @property
    def span(self) -> Span:
        """Where the instruction stands."""
        return self.statement.span

    @property
    def written(self) -> str:
        """What follows the keyword, here-documents included."""
        bodies = "".join(f"\n{one.text}{one.name}" for one in self.documents)
        return self.text + bodies

    def refuse(self, mistake: Mistake, message: str, hint: str) -> None:
        """Complain of the instruction."""
        self.statement.complain(Problem(mistake, message, hint))

    def take_flags(self) -> tuple[list[tuple[str, str]], str]:
        """Return the flags before the first word, and the rest."""
        text, flags = self.text, []
        while found := _FLAG.match(text):
            flags.append((found["name"], found["value"] or ""))
            text = text[found.end() :]
        return flags, text

    def words(self, text: str | None = None) -> list[str]:
        """Return the words between blanks, with their quotes."""
        return split_words(self.text if text is None else text, self.escape)


def read_array(text: str) -> tuple[str, ...] | None:
    """Return a JSON array of texts; None for any other text, which is then the shell's."""
    if not text.startswith("["):
        return None
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tuple(found) if isinstance(found, list) and all(isinstance(one, str) for one in found) else None
