"""A COPY by Docker's rules.

    COPY d x, COPY d x/              x/…           the contents of a folder
    COPY a x                         x             one file, and x is no folder: it is renamed
    COPY a x/, COPY a b x            x/a, x/b      a slash or several sources make a folder; so does one that is there
    COPY d/* x                       x/…           a folder that matches gives its contents, a symlink what it leads to
    COPY ../a x                      x             ``..`` stops at the root of the context, and of the image

Source: moby's Dockerfile reference, "COPY"; buildah 1.28, tried.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from kubeimage.context.dockerignore import IGNORE_FILES, DockerIgnoreRules
from kubeimage.context.names import AUTH_LIST, auth_list_warnings, secret_warnings
from kubeimage.context.placement import Match, PlacedTree, Placement, directories_above, merge, resolve_destination
from kubeimage.context.reading import unreadable
from kubeimage.context.search import Search
from kubeimage.context.sources import SourceFinder
from kubeimage.context.tree import Tree
from kubeimage.context.walk import DiskTree, Walk
from kubeimage.disk.smallfile import read_small
from kubeimage.errors import DestinationError, SourceNotFoundError, UnsupportedSourceError
from kubeimage.layer.entry import Entry, Kind
from kubeimage.protocols.context import Collected, CopyRequest

_SET_ID_BITS = 0o6000


class DockerSearch:
    """One COPY by Docker's rules, over whatever tree a context is kept in."""

    def __init__(self, tree: Tree, rules: DockerIgnoreRules, request: CopyRequest) -> None:
        self._tree = tree
        self._rules = rules
        self._request = request
        self._finder = SourceFinder(tree, rules)

    @property
    def auth_lists(self) -> list[str]:
        """The lists of credentials that wildcards matched, and that were not taken."""
        return self._finder.auth_lists

    def placements(self) -> list[Placement]:
        """Find the sources, and say where each goes.

        Raises: SourceNotFoundError, SourceEscapeError, DestinationError.
        """
        matches = [match for source in self._request.sources for match in self._find(source)]
        return _place(matches, self._request)

    def merged(self, trees: Sequence[PlacedTree]) -> list[Entry]:
        """Lay what was found at the placements over each other, as Docker would have it.

        Raises: DestinationError for a file where a directory is, or the reverse.
        """
        kept = [_without_emptied(one, self._rules) for one in trees]
        entries = merge(kept) if kept else []
        return entries if self._request.from_image else [_without_set_ids(entry) for entry in entries]

    def _find(self, source: str) -> Iterator[tuple[Match, str]]:
        """Yield what ``source`` means, and the name that it goes by: a symlink is what it leads to, by its own name."""
        try:
            found = self._finder.find(clamp(source))
        except SourceNotFoundError:
            if source in self._request.optional:
                return
            raise
        for match in found:
            name = match.path.rpartition("/")[2]
            if match.contents or match.is_directory:
                yield match._replace(contents=True), name
                continue
            real = Search(self._tree, self._rules, source, contents=False).follow(match.path)
            node = self._tree.look(real) if real is not None else None
            if real is None or node is None:
                raise SourceNotFoundError(f"COPY source {source!r} is a symlink that leads to nothing: {match.path!r}")
            yield Match(real, node.is_directory, contents=node.is_directory), name


def collect_by_docker(tree: DiskTree, request: CopyRequest) -> Collected:
    """Find what ``request`` copies, reading no file content.

    Raises: as `ContextCollector.collect` does.
    """
    file = IGNORE_FILES[-1]
    from_image = DockerIgnoreRules.read("", file, request.excludes)
    rules = from_image if request.from_image else read_rules(tree, request.excludes)
    search, walk = DockerSearch(tree, rules, request), Walk(tree, rules, request)
    placements = search.placements()
    entries = search.merged([walk.collect(placement) for placement in placements])
    warnings = [*auth_list_warnings([*search.auth_lists, *walk.auth_lists]), *secret_warnings(walk.secrets)]
    return Collected(entries, directories_above(placements), tuple(dict.fromkeys(warnings)))


def read_rules(tree: DiskTree, excludes: Sequence[str]) -> DockerIgnoreRules:
    """Read the ignore file that the context has.

    Raises: UnsupportedSourceError, UnreadableSourceError.
    """
    for name in IGNORE_FILES:
        try:
            text = read_small(tree.absolute(name), within=tree.absolute("")).decode("utf-8-sig")
        except FileNotFoundError:
            continue
        except UnicodeDecodeError as error:
            raise UnsupportedSourceError(f"{name!r} is not UTF-8: {error.reason} at byte {error.start}") from error
        except OSError as error:
            raise unreadable(name, error) from error
        return DockerIgnoreRules.read(text, name, excludes)
    return DockerIgnoreRules.read("", IGNORE_FILES[-1], excludes)


def clamp(path: str) -> str:
    """Return a path below a root, where ``..`` stops at that root.

    >>> clamp("../../a/./b/../c")
    'a/c'
    """
    return os.path.normpath("/" + path).lstrip("/") or "."


def _place(matches: Sequence[tuple[Match, str]], request: CopyRequest) -> list[Placement]:
    """Say where each of ``matches`` goes.

    Raises: DestinationError.
    """
    destination = resolve_destination(clamp(request.destination))
    into = request.into or len(matches) > 1 or len(request.sources) > 1 or not destination
    placements = []
    for match, name in matches:
        if match.contents:
            placements.append(Placement(match.path, destination, contents=True))
            continue
        target = f"{destination}/{name}".lstrip("/") if into else destination
        if target.rpartition("/")[2] == AUTH_LIST:
            raise DestinationError(
                f"COPY destination {request.destination!r}: no layer ever has a file that is called {AUTH_LIST}",
                hint="leave it out: the builder reads it from the build context",
            )
        placements.append(Placement(match.path, target, contents=False))
    return placements


def _without_emptied(placed: PlacedTree, rules: DockerIgnoreRules) -> PlacedTree:
    """Take out the folders that are left out and below which nothing was let in again."""
    if not rules.lets_in_again:
        return placed
    kept: set[str] = set()
    for entry in placed.entries:
        if entry.kind is not Kind.DIRECTORY or rules.decides(placed.placement.origin(entry.path)) is None:
            parts = entry.path.split("/")
            kept.update("/".join(parts[:count]) for count in range(1, len(parts) + 1))
    return placed._replace(entries=[entry for entry in placed.entries if entry.path in kept])


def _without_set_ids(entry: Entry) -> Entry:
    return entry._replace(mode=entry.mode & ~_SET_ID_BITS) if entry.kind is Kind.FILE else entry
