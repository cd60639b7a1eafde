"""Looking for the names of one SRC in a build context, folder by folder, through symlinks but never out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from kubeimage.context.ignore import IgnoreRules
from kubeimage.context.names import AUTH_LIST, is_lock
from kubeimage.context.placement import Match
from kubeimage.context.tree import Node, Tree
from kubeimage.context.wildcards import compile_name, has_wildcard
from kubeimage.errors import SourceEscapeError

_MOST_LINKS = 40

Matcher = tuple[str, Callable[[str], object] | None]
"""A name, and what says of other names whether they match; None where only the name itself does."""


ANY_DEPTH: Matcher = ("**", None)
"""Any number of folders, or none."""


def literally(part: str) -> Matcher:
    """Take ``part`` for a name, whatever characters it has."""
    return part, None


def as_pattern(part: str) -> Matcher:
    """Take ``part`` for a pattern."""
    if not has_wildcard(part):
        return part, None
    compiled = compile_name(part)
    return part, compiled.fullmatch if compiled is not None else _matches_nothing


def _matches_nothing(_name: str) -> None:
    return None


class Search:
    """One SRC being looked for, and why things that matched were not taken."""

    def __init__(self, tree: Tree, rules: IgnoreRules, text: str, *, contents: bool) -> None:
        self._tree = tree
        self._rules = rules
        self._text = text
        self._contents = contents
        self.left_out: list[str] = []
        self.not_directories: list[str] = []
        self.auth_lists: list[str] = []
        self.remedy = ""

    def run(self, matchers: Sequence[Matcher]) -> list[Match]:
        """Return what matches, name by name from the root of the context.

        Raises: SourceEscapeError.
        """
        if not matchers:
            return [Match("", is_directory=True, contents=True)]
        folders = [""]
        for matcher in matchers if self._contents else matchers[:-1]:
            inside = self._at_any_depth if matcher is ANY_DEPTH else partial(self._folders, matcher=matcher)
            folders = list(dict.fromkeys(inner for folder in folders for inner in inside(folder)))
        if self._contents:
            return [Match(path, is_directory=True, contents=True) for path in folders]
        return [match for folder in folders for match in self._entries(folder, matchers[-1])]

    def _entries(self, folder: str, matcher: Matcher) -> Iterator[Match]:
        for path, node in self._candidates(folder, matcher):
            if self._is_ignored(path, node) or self._is_auth_list(path, node) or self._is_lock(path, node):
                continue
            if node.target is not None:
                self.follow(path)
            yield Match(path, is_directory=node.is_directory)

    def _folders(self, folder: str, matcher: Matcher) -> Iterator[str]:
        """Yield the directories that stand, or that symlinks lead to, at what matches in ``folder``."""
        for path, node in self._candidates(folder, matcher):
            if not node.is_directory and node.target is None:
                self.not_directories.append(path)
            elif not self._is_ignored(path, node):
                real = path if node.target is None else self._follow_to_directory(path)
                if real is not None and (real == path or not self._is_way_ignored(real)):
                    yield real

    def _at_any_depth(self, folder: str) -> Iterator[str]:
        """Yield ``folder``, and all directories in it, however deep; no symlink is followed."""
        yield folder
        for name in sorted(self._tree.names(folder)):
            path = f"{folder}/{name}" if folder else name
            node = self._tree.look(path)
            if node is not None and node.is_directory and not self._is_ignored(path, node):
                yield from self._at_any_depth(path)

    def _candidates(self, folder: str, matcher: Matcher) -> Iterator[tuple[str, Node]]:
        literal, matches = matcher
        names = [literal] if matches is None else sorted(filter(matches, self._tree.names(folder)))
        for name in names:
            path = f"{folder}/{name}" if folder else name
            node = self._tree.look(path)
            if node is not None:
                yield path, node

    def _is_ignored(self, path: str, node: Node) -> bool:
        rule = self._rules.leaves_out(path, is_directory=node.is_directory)
        if rule is None:
            return False
        self.left_out.append(f"{path!r} by line {rule.line} of {self._rules.file}, {rule.text!r}")
        self.remedy = f"change that line, or let it in with a line !{path} below"
        return True

    def _is_auth_list(self, path: str, node: Node) -> bool:
        if path.rpartition("/")[2] != AUTH_LIST or node.is_directory:
            return False
        self.auth_lists.append(path)
        self.left_out.append(f"{path!r}, since it holds credentials")
        self.remedy = "the builder reads it from the build context; no layer ever has it"
        return True

    def _is_lock(self, path: str, node: Node) -> bool:
        name = path.rpartition("/")[2]
        if node.is_directory or not is_lock(name, lambda start: self._tree.begins(path, start)):
            return False
        self.left_out.append(f"{path!r}, since it is the lock of a Kubefile")
        self.remedy = "--locked reads it beside the Kubefile; no layer ever has it"
        return True

    def _is_way_ignored(self, path: str) -> bool:
        parts = path.split("/") if path else []
        way = ("/".join(parts[: count + 1]) for count in range(len(parts)))
        return any(self._is_ignored(step, Node(is_directory=True)) for step in way)

    def _follow_to_directory(self, path: str) -> str | None:
        real = self.follow(path)
        node = None if real is None else self._tree.look(real)
        return real if node is not None and node.is_directory else None

    def follow(self, path: str) -> str | None:
        """Return where the symlink ``path`` leads; None if that is nothing, or a circle.

        Raises: SourceEscapeError where it leaves the context on its way.
        """
        ahead, way, links = path.split("/")[::-1], list[str](), 0
        while ahead:
            part = ahead.pop()
            if part == "..":
                if not way:
                    raise self._escape(path)
                way.pop()
            if part in {"", ".", ".."}:
                continue
            way.append(part)
            node = self._tree.look("/".join(way))
            if node is None:
                # What is missing can still be left by "..", as the rest of the way may try.
                if ".." in ahead:
                    continue
                return None
            if node.target is not None:
                links += 1
                if links > _MOST_LINKS:
                    return None
                if node.target.startswith("/"):
                    raise self._escape(path)
                way.pop()
                ahead += node.target.split("/")[::-1]
        return "/".join(way)

    def _escape(self, path: str) -> SourceEscapeError:
        node = self._tree.look(path)
        target = node.target if node is not None else None
        return SourceEscapeError(
            f"COPY source {self._text!r} leads out of the build context: the symlink {path!r} points to {target!r}",
            hint="make the link relative and inside the context, or copy the folder that holds it: links inside a "
            "copied folder are kept as they are",
        )
