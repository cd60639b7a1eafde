"""What a ``.dockerignore`` or ``.containerignore`` leaves out.

A pattern means a path from the root of the context, and all below it. ``*`` and ``?`` stop at a ``/``, ``**`` stands
for any number of folders. The last line that matches decides; one that starts with ``!`` lets in again, also below a
folder that is left out.

Source: moby's documentation of ``.dockerignore``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubeimage.context.ignore import IgnoreRule, IgnoreRules
from kubeimage.context.wildcards import name_regex

IGNORE_FILES = (".containerignore", ".dockerignore")
"""The first one that is there counts."""


class DockerIgnoreRules(IgnoreRules):
    """The lines of such a file, and the patterns of ``--exclude``."""

    def __init__(self, rules: Sequence[IgnoreRule], file: str) -> None:
        super().__init__(tuple(rules))
        self.file = file
        self.lets_in_again = any(rule.negated for rule in rules)

    @classmethod
    def read(cls, text: str, file: str, excludes: Sequence[str] = ()) -> DockerIgnoreRules:
        """Return the rules of a file's text, and of ``excludes``; a line that is no pattern says nothing."""
        lines = [*enumerate(text.split("\n"), start=1), *((0, pattern) for pattern in excludes)]
        rules = (_parse_line(number, line) for number, line in lines)
        return cls([rule for rule in rules if rule is not None], file)

    def leaves_out(self, path: str, *, is_directory: bool) -> IgnoreRule | None:
        """Return the rule that leaves out ``path``; of a folder below which something may be let in again, None."""
        if is_directory and self.lets_in_again:
            return None
        return self.decides(path)

    def decides(self, path: str) -> IgnoreRule | None:
        """Return the rule that leaves out ``path``, whatever is below it."""
        for rule in self._latest_first:
            if rule.regex.match(path):
                return None if rule.negated else rule
        return None


def _parse_line(number: int, line: str) -> IgnoreRule | None:
    text = line.strip()
    pattern = text.removeprefix("!").strip()
    parts = [part for part in pattern.split("/") if part not in {"", "."}]
    if not parts or text.startswith("#"):
        return None
    pieces = ["(?:.*/)?" if part == "**" else _piece(part) for part in parts[:-1]]
    last = ".*" if parts[-1] == "**" else name_regex(parts[-1].replace("**", "*"))
    if last is None or None in pieces:
        return None
    regex = re.compile("(?s:" + "".join(filter(None, pieces)) + last + r")(?:/|\Z)")
    return IgnoreRule(number, text, regex, text.startswith("!"), directories_only=False, names_only=False)


def _piece(part: str) -> str | None:
    found = name_regex(part.replace("**", "*"))
    return None if found is None else found + "/"
