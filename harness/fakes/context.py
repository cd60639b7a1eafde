"""A build context in memory: the same answers as one on disk, without a disk.

What a SRC means and where it lands is decided by the same code as for a real context; looking, listing and reading are
this module's own.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kubeimage.context.dockercopy import DockerSearch
from kubeimage.context.dockerignore import IGNORE_FILES, DockerIgnoreRules
from kubeimage.context.ignore import IGNORE_FILE, NO_RULES, IgnoreRules
from kubeimage.context.names import (
    AUTH_LIST,
    are_plain,
    auth_list_warnings,
    check_name,
    is_lock,
    looks_secret,
    secret_warnings,
)
from kubeimage.context.placement import PlacedTree, Placement, directories_above, filled_directory, merge, place
from kubeimage.context.sources import SourceFinder
from kubeimage.context.tree import Node
from kubeimage.errors import UnsupportedSourceError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Kind
from kubeimage.protocols.context import Collected, CopyRequest


@dataclass(frozen=True, slots=True)
class File:
    """A regular file."""

    content: bytes = b""
    mode: int = 0o644
    mtime: int = 0


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory; those that only other paths imply have these defaults."""

    mode: int = 0o755
    mtime: int = 0


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symlink."""

    target: str
    mtime: int = 0


@dataclass(frozen=True, slots=True)
class HardLink:
    """One more name of the regular file at ``path`` in the same context."""

    path: str


@dataclass(frozen=True, slots=True)
class Fifo:
    """A named pipe."""

    mode: int = 0o644
    mtime: int = 0


@dataclass(frozen=True, slots=True)
class Socket:
    """Something that no layer can hold."""


Item = File | Directory | Symlink | HardLink | Fifo | Socket
Files = Mapping[str, bytes | str | Item]
"""A context as a dict: paths relative to its root, parted by ``/``; bytes and texts are regular files of mode 0644."""


class MemoryContext:
    """A `SourceCollector` over a dict of files."""

    def __init__(self, files: Files, *, label: str = "memory") -> None:
        self.label = label
        self.files = dict(files)
        self._items, self._inodes = _complete(files)
        self._names: dict[str, list[str]] = {path: [] for path, item in self._items.items() if type(item) is Directory}
        for path in sorted(self._items):
            if path:
                folder, _, name = path.rpartition("/")
                self._names[folder].append(name)
        self._is_plain = are_plain([name for names in self._names.values() for name in names])
        self._rules = NO_RULES

    def look(self, path: str) -> Node | None:
        """Say what stands at ``path``."""
        item = self._items.get(path)
        if item is None:
            return None
        return Node(type(item) is Directory, item.target if isinstance(item, Symlink) else None)

    def names(self, path: str) -> Sequence[str]:
        """List the directory ``path``."""
        return self._names[path]

    def begins(self, path: str, start: bytes) -> bool:
        """Whether a regular file stands at ``path`` that begins so."""
        item = self._items.get(path)
        return isinstance(item, File) and item.content.startswith(start)

    def collect(self, request: CopyRequest) -> Collected:
        """Find what ``request`` copies."""
        if request.by_docker:
            return self._collect_by_docker(request)
        self._rules = self._read_rules()
        finder = SourceFinder(self, self._rules)
        matches = [match for source in request.sources for match in finder.find(source)]
        placements = place(matches, request)
        secrets: list[str] = []
        trees = [self._tree(placement, request, finder.auth_lists, secrets) for placement in placements]
        warnings = [*auth_list_warnings(finder.auth_lists), *secret_warnings(secrets)]
        entries = merge(trees)
        into = filled_directory(request, placements, entries)
        return Collected(entries, directories_above(placements), tuple(dict.fromkeys(warnings)), into)

    def _collect_by_docker(self, request: CopyRequest) -> Collected:
        listed = [(name, self._items.get(name)) for name in IGNORE_FILES]
        file, text = next(((name, one.content.decode()) for name, one in listed if isinstance(one, File)), ("", ""))
        self._rules = rules = DockerIgnoreRules.read(text, file, request.excludes)
        search = DockerSearch(self, rules, request)
        secrets: list[str] = []
        trees = [self._tree(one, request, search.auth_lists, secrets) for one in search.placements()]
        return search.collected(trees, [*auth_list_warnings(search.auth_lists), *secret_warnings(secrets)])

    def with_digests(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return ``entries`` with the ``digest`` of every FILE."""
        return [
            entry._replace(digest=hashlib.sha256(entry.source).digest())
            if entry.kind is Kind.FILE and entry.digest is None and isinstance(entry.source, bytes)
            else entry
            for entry in entries
        ]

    def expect(self, entries: Sequence[Entry]) -> None:
        """Ask nothing: what is in memory is at rest."""

    def remember(self, entries: Sequence[Entry]) -> None:
        """Keep nothing: reading memory again costs nothing."""

    def known_sources(self, entries: Sequence[Entry]) -> Digest | None:
        """Know nothing."""

    def earlier(self, entries: Sequence[Entry]) -> None:
        """Nothing is kept here from one build to the next."""

    def note_layer(self, entries: Sequence[Entry], diff_id: Digest, offset: int) -> None:
        """Nothing is kept here from one build to the next."""

    def remember_sources(self, entries: Sequence[Entry], sources: Digest) -> None:
        """Keep nothing."""

    def _read_rules(self) -> IgnoreRules:
        listed = self._items.get(IGNORE_FILE)
        if not isinstance(listed, File):
            return NO_RULES
        try:
            return IgnoreRules.parse(listed.content.decode())
        except UnicodeDecodeError as error:
            path = f"{self.label}/{IGNORE_FILE}"
            raise UnsupportedSourceError(f"{path!r} is not UTF-8: {error.reason} at byte {error.start}") from error

    def _tree(
        self, placement: Placement, request: CopyRequest, auth_lists: list[str], secrets: list[str]
    ) -> PlacedTree:
        entries: list[Entry] = []
        inodes: dict[str, Hashable] = {}
        for path, image_path in self._below(placement):
            item = self._items[path]
            if not self._is_plain and self._is_left_out(path, auth_lists, secrets):
                continue
            if path in self._inodes:
                inodes[image_path] = self._inodes[path]
            entries.append(_entry(path, image_path, item, request))
        return PlacedTree(placement, entries, inodes)

    def _is_left_out(self, path: str, auth_lists: list[str], secrets: list[str]) -> bool:
        name, is_directory = path.rpartition("/")[2], path in self._names
        if name == AUTH_LIST and not is_directory:
            auth_lists.append(path)
            return True
        if not is_directory and is_lock(name, lambda start: self.begins(path, start)):
            return True
        check_name(name, path)
        if looks_secret(name) and not is_directory:
            secrets.append(path)
        return False

    def _below(self, placement: Placement) -> Iterator[tuple[str, str]]:
        """Yield each path that is copied with its place, in canonical order."""
        pending = [(placement.source, placement.destination)]
        is_root = placement.contents
        while pending:
            path, image_path = pending.pop()
            if not is_root:
                yield path, image_path
            is_root = False
            for name in reversed(self._names.get(path, ())):
                child = f"{path}/{name}" if path else name
                is_directory = child in self._names
                if not self._rules or self._rules.leaves_out(child, is_directory=is_directory) is None:
                    pending.append((child, f"{image_path}/{name}" if image_path else name))


def write_context(files: Files, directory: str) -> None:
    """Write ``files`` into the empty ``directory``, as the context that `MemoryContext` makes of them.

    Times are those of the items, whole seconds.
    """
    items, _ = _complete(files)
    for path in sorted(items):
        if path and type(items[path]) is Directory:
            os.mkdir(os.path.join(directory, path))
    for path, value in files.items():
        _write(directory, path, _item(value))
    for path in sorted(items, reverse=True):
        item = items[path]
        absolute = os.path.join(directory, path)
        if path and not isinstance(item, Symlink | HardLink | Socket):
            os.chmod(absolute, item.mode)
        if path and not isinstance(item, HardLink | Socket):
            os.utime(absolute, (item.mtime, item.mtime), follow_symlinks=False)


def _write(directory: str, path: str, item: Item) -> None:
    absolute = os.path.join(directory, path)
    if isinstance(item, File):
        with open(absolute, "wb") as stream:
            stream.write(item.content)
    elif isinstance(item, Symlink):
        os.symlink(item.target, absolute)
    elif isinstance(item, Fifo):
        os.mkfifo(absolute)
    elif isinstance(item, Socket):
        os.mknod(absolute, stat.S_IFSOCK | 0o644)
    elif isinstance(item, HardLink):
        _link(directory, item, absolute)


def _link(directory: str, item: HardLink, absolute: str) -> None:
    first = os.path.join(directory, item.path)
    if not os.path.lexists(first):
        open(first, "wb").close()
    os.link(first, absolute)


def _item(value: bytes | str | Item) -> Item:
    if isinstance(value, str):
        return File(value.encode())
    return File(value) if isinstance(value, bytes) else value


def _complete(files: Files) -> tuple[dict[str, Item], dict[str, str]]:
    """Add the directories that paths imply, and say of each hard-linked name which file it is.

    Raises: ValueError for a dict that no directory could hold.
    """
    items: dict[str, Item] = {"": Directory()}
    for path, value in files.items():
        items[path] = _item(value)
    for path in files:
        if not path or any(part in {"", ".", ".."} for part in path.split("/")):
            raise ValueError(f"a path in a context is made of plain names, found {path!r}")
        parent = path.rpartition("/")[0]
        while type(items.setdefault(parent, Directory())) is Directory and parent:
            parent = parent.rpartition("/")[0]
        if type(items[parent]) is not Directory:
            raise ValueError(f"{path!r} stands below {parent!r}, which is no directory")
    return items, _resolve_links(items)


def _resolve_links(items: dict[str, Item]) -> dict[str, str]:
    """Put the file itself in the place of each hard link."""
    inodes: dict[str, str] = {}
    for path, item in list(items.items()):
        if isinstance(item, HardLink):
            first = items.get(item.path)
            if not isinstance(first, File):
                raise ValueError(f"the hard link {path!r} wants a regular file at {item.path!r}, found {first!r}")
            items[path] = replace(first)
            inodes[path] = inodes[item.path] = inodes.get(item.path, item.path)
    return inodes


def _entry(path: str, image_path: str, item: Item, request: CopyRequest) -> Entry:
    if isinstance(item, HardLink | Socket):
        raise UnsupportedSourceError(
            f"COPY found {path!r}: a socket cannot be copied into a layer",
            hint="remove it, or leave it out with a .kubeignore",
        )
    mtime = item.mtime if request.mtime is None else request.mtime
    if isinstance(item, Symlink):
        return Entry(image_path, Kind.SYMLINK, 0o777, target=item.target, mtime=mtime)
    mode = item.mode if request.chmod is None else request.chmod
    if isinstance(item, File):
        return Entry(image_path, Kind.FILE, mode, len(item.content), mtime=mtime, source=item.content)
    return Entry(image_path, Kind.DIRECTORY if isinstance(item, Directory) else Kind.FIFO, mode, mtime=mtime)
