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
from kubeimage.layer.entry import ROOT, Entry, Kind, Owner, canonical_order, directory
from kubeimage.layer.names import ancestors
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
        placements = _place(matches, self._request)
        if self._request.unpack:
            _check_alone(placements)
        return placements

    def merged(self, trees: Sequence[PlacedTree]) -> Sequence[Entry]:
        """Lay what was found at the placements over each other, as Docker would have it.

        Raises: DestinationError for a file where a directory is, or the reverse.
        """
        kept = [_without_emptied(one, self._rules) for one in trees]
        entries = merge(kept) if kept else []
        if not self._request.from_image and self._request.chmod is None:
            entries = [_without_set_ids(entry) for entry in entries]
        owner = self._request.owner
        return entries if owner is None else [entry._replace(owner=owner) for entry in entries]

    def collected(self, trees: Sequence[PlacedTree], warnings: Sequence[str] = ()) -> Collected:
        """Return what the placements come to.

        Raises: DestinationError, as ``merged`` does.
        """
        entries = self.merged(trees)
        placements = [one.placement for one in trees]
        directories = directories_above(placements)
        between: frozenset[str] = frozenset()
        if self._request.parents:
            destination = clamp(self._request.destination)
            directories = _way_to(destination)
            entries, between = _with_folders(entries, destination, self._request.owner or ROOT)
        return Collected(
            entries,
            directories,
            tuple(dict.fromkeys(warnings)),
            alone=tuple(one.destination for one in placements if not one.contents),
            between=between,
            owner=self._request.owner or ROOT,
        )

    def _find(self, source: str) -> Iterator[tuple[Match, str]]:
        """Yield what ``source`` means, and the name that it goes by: a symlink is what it leads to, by its own name.

        With ``--parents`` the name is the whole path, or what stands behind its part ``.``.
        """
        try:
            found = self._finder.find(clamp(source), deep=self._request.parents)
        except SourceNotFoundError:
            if source in self._request.optional:
                return
            raise
        for match in found:
            name = _kept_path(source, match.path) if self._request.parents else match.path.rpartition("/")[2]
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
    trees = [walk.collect(placement) for placement in search.placements()]
    warnings = [*auth_list_warnings([*search.auth_lists, *walk.auth_lists]), *secret_warnings(walk.secrets)]
    return search.collected(trees, warnings)


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
    several = len(matches) > 1 or len(request.sources) + len(request.remotes) > 1
    into = request.into or several or not destination or request.parents
    placements = []
    for match, name in matches:
        if match.contents and request.parents and name:
            placements.append(Placement(match.path, f"{destination}/{name}".lstrip("/"), contents=False))
            continue
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
    if not entry.mode & _SET_ID_BITS or entry.kind is not Kind.FILE:
        return entry
    return entry._replace(mode=entry.mode & ~_SET_ID_BITS)


def _check_alone(placements: Sequence[Placement]) -> None:
    """Refuse two files of one name: the first could be an archive, of which nothing would be seen.

    Raises: DestinationError.
    """
    alone = [one for one in placements if not one.contents]
    for index, one in enumerate(alone):
        twin = next((other for other in alone[:index] if other.destination == one.destination), None)
        if twin is not None:
            raise DestinationError(
                f"ADD puts {twin.source!r} and {one.source!r} both at {one.destination!r}",
                hint="add one of them with an ADD of its own",
            )


def _kept_path(source: str, path: str) -> str:
    """Return the part of a source's path that ``--parents`` keeps.

    >>> _kept_path("a/./b/*", "a/b/c"), _kept_path("./a/b", "a/b")
    ('b/c', 'a/b')
    """
    before, pivot, _ = source.rpartition("/./")
    cut = len([part for part in clamp(before).split("/") if part not in ("", ".")]) if pivot else 0
    return "/".join(path.split("/")[cut:])


def _way_to(destination: str) -> tuple[str, ...]:
    parts = [part for part in destination.split("/") if part not in ("", ".")]
    return tuple("/".join(parts[: count + 1]) for count in range(len(parts)))


def _with_folders(entries: Sequence[Entry], destination: str, owner: Owner) -> tuple[list[Entry], frozenset[str]]:
    """Add the folders between ``destination`` and the entries, and say which they are; new ones are ``owner``'s."""
    known = {entry.path for entry in entries} | set(_way_to(destination))
    between = {folder for entry in entries for folder in ancestors(entry.path) if folder and folder not in known}
    made = (directory(folder)._replace(owner=owner) for folder in between)
    return canonical_order([*entries, *made]), frozenset(between)
