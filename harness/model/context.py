"""A build context as the model sees it: a tree, its ``.kubeignore``, and what patterns mean.

Source: docs/kubefile-sealer-0.8.md, "COPY"; gitignore(5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from harness.model.failure import Failed
from harness.model.tree import Item, Node, is_folder, name_of, parent
from harness.trees import File, HardLink

IGNORE_LIST = ".kubeignore"


@dataclass(frozen=True)
class Context:
    """A build context: a complete tree, in which a `HardLink` may stand for a file."""

    tree: Mapping[str, Item]

    @cached_property
    def rules(self) -> list[str]:
        """The lines of ``.kubeignore`` that say something.

        Raises: Failed where it is no text.
        """
        listed = self.node(IGNORE_LIST) if IGNORE_LIST in self.tree else None
        if not isinstance(listed, File):
            return []
        try:
            lines = [line.strip() for line in listed.data.decode().split("\n")]
        except UnicodeDecodeError:
            raise Failed("E0304", f"{IGNORE_LIST} is no text") from None
        return [line for line in lines if line and not line.startswith("#")]

    def ignores(self, path: str) -> bool:
        """Whether the last rule that fits a path leaves it out; what holds for the folders above is another matter."""
        for rule in reversed(self.rules):
            pattern = rule.removeprefix("!")
            if pattern.endswith("/") and not is_folder(self.tree, path):
                continue
            pattern = pattern.removesuffix("/")
            if matches(pattern, name_of(path)) if "/" not in pattern else _fits_path(pattern, path):
                return not rule.startswith("!")
        return False

    def node(self, path: str) -> Node:
        """Return what stands at a path."""
        item = self.tree[path]
        while isinstance(item, HardLink):
            item = self.tree[item.path]
        return item

    def file(self, path: str) -> str:
        """Return the name that all names of one file share."""
        item = self.tree[path]
        while isinstance(item, HardLink):
            path, item = item.path, self.tree[item.path]
        return path

    def names(self, folder: str) -> list[str]:
        """List a folder, sorted."""
        return self._names.get(folder, [])

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in sorted(self.tree):
            found.setdefault(parent(path), []).append(name_of(path))
        return found


@lru_cache(maxsize=1 << 14)
def matches(pattern: str, name: str) -> bool:
    r"""Whether a name fits a pattern of ``*``, ``?``, ``[a-z]``, ``[!a]`` and ``\x``."""
    if not pattern:
        return not name
    first = pattern[0]
    if first == "*":
        return matches(pattern[1:], name) or (name != "" and matches(pattern, name[1:]))
    if first == "[":
        end = pattern.find("]", 3 if pattern[1:2] in {"!", "^"} else 2)
        return end > 0 and name != "" and _in_set(pattern[1:end], name[0]) and matches(pattern[end + 1 :], name[1:])
    if first == "\\":
        pattern = pattern[1:]
        if not pattern:
            return False
    elif first == "?":
        return name != "" and matches(pattern[1:], name[1:])
    return name[:1] == pattern[0] and matches(pattern[1:], name[1:])


def _in_set(members: str, character: str) -> bool:
    negated = members[0] in {"!", "^"}
    members = members[negated:]
    found = False
    while members:
        if len(members) > 2 and members[1] == "-":
            # A range that runs backwards is its first character, as it is for git.
            found = found or members[0] <= character <= members[2] or character == members[0]
            members = members[3:]
        else:
            found = found or members[0] == character
            members = members[1:]
    return found is not negated


def _fits_path(pattern: str, path: str) -> bool:
    """Whether a whole path fits a pattern with ``/`` in it; ``**`` stands for any number of folders."""
    return _fit_parts(pattern.removeprefix("/").split("/"), path.split("/"))


def _fit_parts(patterns: list[str], parts: list[str]) -> bool:
    if not patterns or not parts:
        return not patterns and not parts
    if patterns == ["**"]:
        return True
    if patterns[0] == "**" and _fit_parts(patterns[1:], parts):
        return True
    rest = patterns if patterns[0] == "**" else patterns[1:]
    return (patterns[0] == "**" or matches(patterns[0], parts[0])) and _fit_parts(rest, parts[1:])
