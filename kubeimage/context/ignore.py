"""What a ``.kubeignore`` leaves out: the syntax and meaning of gitignore(5).

The file stands in the root of the build context and holds for every COPY, for what a source names, what a wildcard
matches and what lies inside a copied folder alike. It says nothing about RUN, nor about what FROM brings. It is copied
like any other file, unless it names itself. Without one nothing is left out.

The last line that matches decides. Nothing below a folder that is left out can be let in again.

Source: gitignore(5), "Pattern format".
"""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from kubeimage.context.wildcards import name_regex

IGNORE_FILE = ".kubeignore"

_BYTE_ORDER_MARK = "\ufeff"


class IgnoreRule(NamedTuple):
    """One line that says something.

    Units: ``line`` counts from 1.
    """

    line: int
    text: str
    regex: re.Pattern[str]
    negated: bool
    directories_only: bool
    names_only: bool


class IgnoreRules:
    """The lines of a ``.kubeignore``."""

    file = IGNORE_FILE

    def __init__(self, rules: tuple[IgnoreRule, ...] = ()) -> None:
        self._latest_first = rules[::-1]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the lines; one that is no pattern matches nothing, as with git."""
        lines = enumerate(text.removeprefix(_BYTE_ORDER_MARK).split("\n"), start=1)
        rules = (_parse_line(number, line) for number, line in lines)
        return cls(tuple(rule for rule in rules if rule is not None))

    def __bool__(self) -> bool:
        return bool(self._latest_first)

    def leaves_out(self, path: str, *, is_directory: bool) -> IgnoreRule | None:
        """Return the rule that leaves out ``path`` (relative to the context) itself, whatever holds for its parents."""
        name = path[path.rfind("/") + 1 :]
        for rule in self._latest_first:
            if rule.directories_only and not is_directory:
                continue
            if rule.regex.fullmatch(name if rule.names_only else path):
                return None if rule.negated else rule
        return None


NO_RULES = IgnoreRules()


def _parse_line(number: int, line: str) -> IgnoreRule | None:
    text = _trim(line.removesuffix("\r"))
    if not text or text.startswith("#"):
        return None
    pattern = text.removeprefix("!")
    names_only = "/" not in pattern.removesuffix("/")
    source = _regex(pattern.removesuffix("/"))
    if source is None:
        return None
    return IgnoreRule(
        line=number,
        text=text,
        regex=re.compile(source),
        negated=text.startswith("!"),
        directories_only=pattern.endswith("/"),
        names_only=names_only,
    )


def _trim(line: str) -> str:
    """Cut blanks at the end, but for one that a backslash keeps."""
    text = line.rstrip(" ")
    kept = len(text) < len(line) and (len(text) - len(text.rstrip("\\"))) % 2 == 1
    return text + " " if kept else text


def _regex(pattern: str) -> str | None:
    """Translate a pattern for a whole path; ``**`` stands for any number of folders.

    What stands between two ``**`` has so many names, so its first place is as good as any: an atomic group says so, and
    no pattern takes more than a look at each name of a path for each of its own.
    """
    runs: list[list[str]] = [[]]
    parts = pattern.removeprefix("/").split("/")
    for part in parts:
        piece = name_regex(part)
        if piece is None:
            return None
        if _any_depth(part):
            runs.append([])
        else:
            runs[-1].append(piece)
    first, *later = runs
    if not later:
        return f"(?s:{'/'.join(first)})"
    ahead = "".join(f"{piece}/" for piece in first)
    middle = "".join(f"(?>(?:[^/]+/)*?{''.join(f'{piece}/' for piece in run)})" for run in later[:-1] if run)
    # At the end of a pattern, it is all that stands in the folder.
    last = f"(?:[^/]+/)*{'/'.join(later[-1])}" if later[-1] else ".*"
    return f"(?s:{ahead}{middle}{last})"


def _any_depth(part: str) -> bool:
    return len(part) > 1 and not part.strip("*")
