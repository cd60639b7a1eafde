"""A build context on disk: looking at paths, and listing what lies below one, ready for a layer."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Hashable, Iterator

from kubeimage.context.ignore import IgnoreRules
from kubeimage.context.names import AUTH_LIST, are_plain, check_name, is_lock, is_text, looks_secret
from kubeimage.context.placement import PlacedTree, Placement
from kubeimage.context.reading import unreadable
from kubeimage.context.tree import Node
from kubeimage.disk.smallfile import read_start
from kubeimage.errors import UnsupportedSourceError
from kubeimage.layer.entry import Entry, Kind, identity_of
from kubeimage.layer.table import ROW, EntryTable, compact
from kubeimage.protocols.context import CopyRequest

_SYMLINK_MODE = 0o777
_SECOND_NS = 1_000_000_000
_TYPE = 0o170000
_REGULAR, _DIRECTORY = stat.S_IFREG, stat.S_IFDIR
_IS_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


class DiskTree:
    """The build context in a directory."""

    def __init__(self, root: str, label: str, *, hidden: str | None = None) -> None:
        """Show all but the folder ``hidden``, a path relative to ``root``; ``met_hidden`` says whether it was met."""
        self.label = label
        self.hidden = hidden
        self.met_hidden = False
        self._prefix = root if root.endswith("/") else root + "/"

    def absolute(self, path: str) -> str:
        """Return where ``path`` is on this machine."""
        return self._prefix + path

    def relative(self, absolute: str) -> str:
        """Return what `absolute` made a path from."""
        return absolute[len(self._prefix) :]

    def look(self, path: str) -> Node | None:
        """Say what stands at ``path``, its last part not followed."""
        if self._is_hidden(path):
            return None
        absolute = self.absolute(path)
        try:
            mode = os.lstat(absolute).st_mode
            if stat.S_ISLNK(mode):
                return Node(is_directory=False, target=os.readlink(absolute))
        except OSError as error:
            if error.errno in _IS_NOT_THERE:
                return None
            raise unreadable(path, error) from error
        return Node(is_directory=stat.S_ISDIR(mode))

    def names(self, path: str) -> list[str]:
        """List the directory ``path``."""
        try:
            names = os.listdir(self.absolute(path))
        except OSError as error:
            raise unreadable(path or self.label, error) from error
        if self.hidden is None:
            return names
        return [name for name in names if not self._is_hidden(f"{path}/{name}" if path else name)]

    def begins(self, path: str, start: bytes) -> bool:
        """Whether a regular file stands at ``path`` that begins so."""
        return read_start(self.absolute(path), len(start)) == start

    def _is_hidden(self, path: str) -> bool:
        hidden = self.hidden is not None and (path == self.hidden or path.startswith(f"{self.hidden}/"))
        self.met_hidden |= hidden
        return hidden


class Walk:
    """The trees that one COPY takes from a context on disk."""

    def __init__(self, tree: DiskTree, rules: IgnoreRules, request: CopyRequest) -> None:
        self._tree = tree
        self._rules = rules
        self._chmod = request.chmod
        self._mtime = request.mtime
        self.auth_lists: list[str] = []
        self.secrets: list[str] = []

    def collect(self, placement: Placement) -> PlacedTree:
        """Return what stands at ``placement``, in canonical order; nested symlinks are kept, whatever they point to.

        Raises: UnsupportedSourceError, UnreadableSourceError, ContextChangedError.
        """
        table = EntryTable(self._mtime)
        inodes: dict[str, Hashable] = {}
        absolute = self._tree.absolute(placement.source)
        if placement.contents:
            self._below(absolute, f"{placement.destination}/" if placement.destination else "", table, inodes)
            return PlacedTree(placement, compact(table), inodes)
        try:
            status = os.lstat(absolute)
        except OSError as error:
            raise unreadable(placement.source, error) from error
        is_directory = stat.S_ISDIR(status.st_mode)
        self._is_left_out(placement.source, is_directory=is_directory)
        if stat.S_ISREG(status.st_mode):
            return PlacedTree(placement, [self._file(absolute, placement.destination, status, inodes)], inodes)
        parent, slash, name = placement.destination.rpartition("/")
        place = table.add_place(parent + slash, absolute[: absolute.rfind("/") + 1])
        self._add_other(table, name, place, absolute, status)
        if is_directory:
            self._below(absolute, f"{placement.destination}/", table, inodes)
        return PlacedTree(placement, compact(table), inodes)

    def _below(self, folder: str, prefix: str, table: EntryTable, inodes: dict[str, Hashable]) -> None:
        """Add what is in ``folder``, depth first and each directory by name: that is the canonical order.

        The folders on the way are a list and not calls of this function: a tree can be deeper than Python's stack.
        """
        way = [(*self._children(folder, prefix, table), prefix)]
        lstat, chmod, pack = os.lstat, self._chmod, ROW.pack
        rows, add_name, add_folder = table.rows, table.names.append, table.folders.append
        while way:
            names, is_plain, parent, place, prefix = way[-1]
            for name in names:
                absolute = parent + name
                try:
                    look = lstat(absolute)
                except OSError as error:
                    raise unreadable(self._tree.relative(absolute), error) from error
                mode = look.st_mode
                is_directory = mode & _TYPE == _DIRECTORY
                if not is_plain and self._is_left_out(self._tree.relative(absolute), is_directory=is_directory):
                    continue
                if mode & _TYPE == _REGULAR:
                    if look.st_nlink > 1:
                        inodes[prefix + name] = (look.st_dev, look.st_ino)
                    mode = _REGULAR | ((mode if chmod is None else chmod) & 0o7777)
                    try:
                        # As `add_file` does it, which takes as long as the lstat.
                        rows += pack(look.st_size, look.st_mtime_ns, look.st_ctime_ns, look.st_ino, look.st_dev, mode)
                    except struct.error:
                        table.add_file(name, place, look, mode)
                    else:
                        add_name(name)
                        add_folder(place)
                    continue
                self._add_other(table, name, place, absolute, look)
                if is_directory:
                    below = f"{prefix}{name}/"
                    way.append((*self._children(absolute, below, table), below))
                    break
            else:
                way.pop()

    def _children(self, folder: str, prefix: str, table: EntryTable) -> tuple[Iterator[str], bool, str, int]:
        """List ``folder`` by name, and say whether nothing in it needs a second look, and what its names follow."""
        names = sorted(self._tree.names(self._tree.relative(folder)))
        parent = folder if folder.endswith("/") else folder + "/"
        return iter(names), not self._rules and are_plain(names), parent, table.add_place(prefix, parent)

    def _is_left_out(self, path: str, *, is_directory: bool) -> bool:
        if self._rules.leaves_out(path, is_directory=is_directory):
            return True
        name = path[path.rfind("/") + 1 :]
        if name == AUTH_LIST and not is_directory:
            self.auth_lists.append(path)
            return True
        if not is_directory and is_lock(name, lambda start: self._tree.begins(path, start)):
            return True
        check_name(name, path)
        if looks_secret(name) and not is_directory:
            self.secrets.append(path)
        return False

    def _file(self, absolute: str, path: str, status: os.stat_result, inodes: dict[str, Hashable]) -> Entry:
        if status.st_nlink > 1:
            inodes[path] = (status.st_dev, status.st_ino)
        mode = status.st_mode & 0o7777 if self._chmod is None else self._chmod
        mtime = status.st_mtime_ns // _SECOND_NS if self._mtime is None else self._mtime
        identity = identity_of(status)
        return Entry(path, Kind.FILE, mode, status.st_size, mtime=mtime, source=absolute, identity=identity)

    def _add_other(self, table: EntryTable, name: str, place: int, absolute: str, status: os.stat_result) -> None:
        """Add what is no regular file.

        Raises: UnsupportedSourceError for what cannot be copied.
        """
        kind = status.st_mode & _TYPE
        mode = status.st_mode & 0o7777 if self._chmod is None else self._chmod
        mtime = status.st_mtime_ns // _SECOND_NS if self._mtime is None else self._mtime
        if kind in (_DIRECTORY, stat.S_IFIFO):
            table.add_other(name, place, mode | kind, mtime)
        elif kind == stat.S_IFLNK:
            table.add_other(name, place, _SYMLINK_MODE | kind, mtime, self._target(absolute))
        else:
            what = "a socket" if kind == stat.S_IFSOCK else "a device"
            raise UnsupportedSourceError(
                f"COPY found {self._tree.relative(absolute)!r}: {what} cannot be copied into a layer",
                hint="remove it, or leave it out with a .kubeignore",
            )

    def _target(self, absolute: str) -> str:
        try:
            target = os.readlink(absolute)
        except OSError as error:
            raise unreadable(self._tree.relative(absolute), error) from error
        if not is_text(target):
            raise UnsupportedSourceError(
                f"COPY found the symlink {self._tree.relative(absolute)!r}: what it points to is not UTF-8",
                hint="remove it, or leave it out with a .kubeignore",
            )
        return target
