"""What ``.dockerignore``, ``.containerignore`` and ``--exclude`` leave out.

Source: moby's documentation of ``.dockerignore``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.model.docker.owned import OwnedTree, ways
from harness.trees import File

_FILES = (".containerignore", ".dockerignore")


class Ignored:
    """Patterns, the last of which that fits decides."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]

    @classmethod
    def of(cls, context: OwnedTree, excludes: Sequence[str]) -> Ignored:
        """Return what the context's own file says, and after it ``excludes``."""
        found = next((context[name].node for name in _FILES if name in context), None)
        text = found.data.decode() if isinstance(found, File) else ""
        return cls([*text.split("\n"), *excludes])

    def fits(self, path: str) -> bool:
        """Whether a path is left out, whatever is in it."""
        for line in reversed(self.lines):
            pattern = line.removeprefix("!").strip().strip("/")
            if any(_is_match(pattern, one) for one in ways(path)):
                return not line.startswith("!")
        return False

    def leaves_out(self, path: str, *, folder: bool) -> bool:
        """Whether a path is not to be seen; in a folder something may be let in again."""
        if folder and any(line.startswith("!") for line in self.lines):
            return False
        return self.fits(path)


def _is_match(pattern: str, path: str) -> bool:
    parts = [part for part in pattern.split("/") if part not in {"", "."}]
    text = "".join("(?:[^/]+/)*" if part == "**" else match_name(part) + "/" for part in parts[:-1])
    text += ".*" if parts[-1] == "**" else match_name(parts[-1].replace("**", "*"))
    return re.fullmatch(text, path) is not None


def match_name(pattern: str) -> str:
    """Return the regular expression of a pattern for one name, as Go's ``filepath.Match`` reads it."""
    pieces = re.findall(r"\[\^?[^\]]*\]|\\.|.", pattern)
    return "".join(_piece(piece) for piece in pieces)


def _piece(piece: str) -> str:
    if piece == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    return piece if len(piece) > 1 else re.escape(piece)
