"""Which paths of a build context a COPY's SRC means: literally first, then as a pattern, symlinks looked through.

Source: the project's design, "The language" (COPY).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from kubeimage.context.ignore import IgnoreRules
from kubeimage.context.names import AUTH_LIST, is_text
from kubeimage.context.placement import Match
from kubeimage.context.search import ANY_DEPTH, Search, as_pattern, literally
from kubeimage.context.tree import Tree
from kubeimage.context.wildcards import has_wildcard
from kubeimage.errors import ContextError, SourceEscapeError, SourceNotFoundError
from kubeimage.values import dataclass

_MOST_NAMES_COMPARED = 5_000


@dataclass(frozen=True)
class SourcePattern:
    """A SRC, taken apart.

    Shape: ``parts`` are the names on the way, without ``.`` and ``..``. ``contents`` means what is in the directory,
           not the directory itself.
    """

    text: str
    parts: tuple[str, ...]
    contents: bool

    @property
    def lists_entries(self) -> bool:
        """Whether the last part is a bare ``*``, which means the entries of a directory, one or many."""
        return bool(self.parts) and not self.parts[-1].strip("*")


def parse_source(text: str) -> SourcePattern:
    """Take a SRC apart; a leading ``/`` or ``./``, a trailing ``/`` and a doubled one say nothing.

    Raises: SourceNotFoundError for what cannot be a name; SourceEscapeError where ``..`` leads out of the context.
    """
    if not text or "\0" in text or not is_text(text):
        hint = "write . to mean the whole build context"
        raise SourceNotFoundError(f"COPY wants the name of a file or folder, found {text!r}", hint=hint)
    written = [part for part in text.split("/") if part]
    parts: list[str] = []
    for part in written:
        if part == ".." and not parts:
            hint = "build with a context folder that holds the file"
            raise SourceEscapeError(f"COPY source {text!r} leads out of the build context", hint=hint)
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return SourcePattern(text, tuple(parts), contents=not parts or written[-1] == ".")


class SourceFinder:
    """Finds what the sources of a COPY mean in one context."""

    def __init__(self, tree: Tree, rules: IgnoreRules) -> None:
        self._tree = tree
        self._rules = rules
        self.auth_lists: list[str] = []
        """The lists of credentials that wildcards matched, and that were not taken."""

    def find(self, text: str, *, deep: bool = False) -> list[Match]:
        """Return what ``text`` means, sorted by name; never nothing.

        With ``deep`` a folder ``**`` on the way stands for any number of folders, or for none.
        Raises: SourceNotFoundError, with near matches as a hint; SourceEscapeError.
        """
        pattern = parse_source(text)
        search = Search(self._tree, self._rules, text, contents=pattern.contents)
        found = search.run([literally(part) for part in pattern.parts])
        if not found and any(map(has_wildcard, pattern.parts)):
            matchers = [as_pattern(part) for part in pattern.parts]
            if deep:
                ways = pattern.parts[:-1]
                matchers[:-1] = [ANY_DEPTH if part == "**" else one for part, one in zip(ways, matchers, strict=False)]
            found = [match._replace(listed=pattern.lists_entries) for match in search.run(matchers)]
        if not found:
            raise self._not_found(pattern, search)
        self.auth_lists += search.auth_lists
        return found

    def _not_found(self, pattern: SourcePattern, search: Search) -> SourceNotFoundError:
        if search.left_out:
            return SourceNotFoundError(
                f"COPY source {pattern.text!r} matches only what is left out: {search.left_out[0]}",
                hint=search.remedy,
            )
        path = "/".join(pattern.parts)
        if pattern.contents and path in search.not_directories:
            return SourceNotFoundError(
                f"COPY source {pattern.text!r} means what is inside {path!r}, which is no folder",
                hint=f"to copy the file itself, write {path}",
            )
        return SourceNotFoundError(
            f"COPY source {pattern.text!r} matches nothing in the build context {self._tree.label!r}",
            hint=self._suggest(path),
        )

    def _suggest(self, wanted: str) -> str:
        known = list(islice(self._walk(), _MOST_NAMES_COMPARED))
        near = near_matches(wanted, known)
        if near:
            return f"did you mean {' or '.join(map(repr, near))}?"
        top = [path for path in known if "/" not in path]
        if not top:
            return "the build context is empty"
        return f"the build context holds {', '.join(map(repr, top[:8]))}{' …' if len(top) > 8 else ''}"

    def _walk(self) -> Iterator[str]:
        """Every path that may be copied, those near the root first."""
        folders = [""]
        for folder in folders:
            for name in self._readable_names(folder):
                path = f"{folder}/{name}" if folder else name
                node = self._tree.look(path)
                if node is None or name == AUTH_LIST or self._rules.leaves_out(path, is_directory=node.is_directory):
                    continue
                yield path
                if node.is_directory:
                    folders.append(path)

    def _readable_names(self, folder: str) -> list[str]:
        """List ``folder``, for a hint: one that cannot be read has nothing to suggest."""
        try:
            return sorted(self._tree.names(folder))
        except ContextError:
            return []


def near_matches(wanted: str, known: Sequence[str]) -> list[str]:
    """Return up to three of ``known`` that are most like ``wanted``, those with the very same last name first."""
    import difflib

    last = wanted.rpartition("/")[2].lower()
    same = [path for path in known if path.rpartition("/")[2].lower() == last]
    return list(dict.fromkeys([*same, *difflib.get_close_matches(wanted, known)]))[:3]
