"""A directory that stands for an image's root, and how entries are put there.

Nothing outside is ever touched: a path's directories are made sure of one by one, without following a symlink, before
anything is put below them. Modes and times of directories are set last, for some of them let nobody in.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, TypeVar

from kubeimage.disk.failures import disk_error, translated
from kubeimage.disk.removal import empty_directory, remove_tree
from kubeimage.layer.entry import ROOT, Entry, Kind
from kubeimage.layer.names import ancestors, parent_of
from kubeimage.layer.reader import Content

T = TypeVar("T")

CAPABILITY = "security.capability"

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 20
_NOT_POSSIBLE = {errno.EPERM, errno.EACCES, errno.ENOTSUP}


class _Attributes(NamedTuple):
    """What a directory is given when all else is done."""

    mode: int
    mtime_ns: int


_IMPLIED = _Attributes(0o755, 0)


def is_kept_xattr(name: str) -> bool:
    """Whether files of an image may have this xattr: those of users, and capabilities; never overlayfs's own."""
    return name == CAPABILITY or (name.startswith("user.") and not name.startswith("user.overlay."))


class RootDirectory:
    """Puts entries below ``root``, an existing directory that nobody else writes to meanwhile.

    Shape: with ``owned``, which needs root, each entry is its owner's; else root makes all its own.
    """

    def __init__(self, root: str, *, owned: bool = False) -> None:
        self._root = root
        self._owned = owned
        # The directories that are known to be real ones, and to let us write.
        self._directories: dict[str, _Attributes] = {}
        self._is_root = os.geteuid() == 0
        with self._translated(""):
            self._enter_one("")

    def full(self, path: str) -> str:
        """Return the absolute path of ``path``."""
        return f"{self._root}/{path}" if path else self._root

    def put(self, entry: Entry, content: Content | None) -> int:
        """Put ``entry`` (no whiteout) at its path, in place of another type, and give the bytes written.

        A directory that is there stays, with what stands in it.
        Raises: StoreFullError, StoreAccessError; LayerFormatError from reading ``content``.
        """
        with self._translated(entry.path):
            if entry.kind is Kind.DIRECTORY:
                self._put_directory(entry)
                return 0
            self._enter(parent_of(entry.path))
            return self._put_leaf(entry, content)

    def remove(self, path: str) -> None:
        """Remove what stands at ``path``; nothing happens where nothing stands, or only behind a symlink.

        Raises: StoreAccessError.
        """
        with self._translated(path):
            if self._find(parent_of(path)):
                remove_tree(self.full(path))

    def empty(self, path: str) -> None:
        """Remove all that stands in the directory ``path``, if it is one.

        Raises: StoreAccessError.
        """
        with self._translated(path):
            if self._find(path):
                empty_directory(self.full(path))

    def enter(self, path: str) -> None:
        """Make ``path`` a directory, if it is none.

        Raises: StoreFullError, StoreAccessError.
        """
        with self._translated(path):
            self._enter(path)

    def put_whiteout(self, path: str) -> None:
        """Hide ``path`` of the layers below, as overlayfs does; what the layer itself has there goes on to show.

        Raises: StoreFullError, StoreAccessError.
        """
        with self._translated(path):
            self._enter(parent_of(path))
            if self._lstat(path) is None:
                os.mknod(self.full(path), stat.S_IFCHR, os.makedev(0, 0))

    def hide_below(self, path: str, opaque_xattr: str) -> bool:
        """Hide all that the layers below have in the directory ``path``, as overlayfs does; whether it is one.

        Raises: StoreFullError, StoreAccessError.
        """
        with self._translated(path):
            status = self._lstat(path)
            if status is None or not stat.S_ISDIR(status.st_mode):
                return False
            os.setxattr(self.full(path), opaque_xattr, b"y")
            return True

    def mark(self, xattr: str) -> None:
        """Set an xattr on the root, where its file system has them.

        Raises: StoreAccessError.
        """
        try:
            os.setxattr(self._root, xattr, b"y")
        except OSError as error:
            if error.errno not in _NOT_POSSIBLE:
                raise disk_error(error, f"write {self._root!r}", self._root) from error

    def finish(self) -> None:
        """Set the modes and times of all directories.

        Raises: StoreAccessError.
        """
        for path in sorted(self._directories, reverse=True):
            mode, mtime_ns = self._directories[path]
            with self._translated(path):
                os.utime(self.full(path), ns=(mtime_ns, mtime_ns))
                os.chmod(self.full(path), mode)

    def _find(self, path: str) -> bool:
        """Whether ``path`` and all that it stands in are real directories."""
        for directory in [*ancestors(path), path]:
            if directory not in self._directories:
                status = self._lstat(directory)
                if status is None or not stat.S_ISDIR(status.st_mode):
                    return False
                self._enter_one(directory)
        return True

    def _enter(self, path: str) -> None:
        if path not in self._directories:
            for directory in [*ancestors(path), path]:
                if directory not in self._directories:
                    self._enter_one(directory)

    def _enter_one(self, path: str) -> None:
        """Make sure of one directory that stands in known ones."""
        status = self._lstat(path)
        full = self.full(path)
        if status is not None and stat.S_ISDIR(status.st_mode):
            mode = stat.S_IMODE(status.st_mode)
            if mode & 0o700 != 0o700:
                os.chmod(full, mode | 0o700)
            self._directories[path] = _Attributes(mode, status.st_mtime_ns)
            return
        if status is not None:
            os.unlink(full)
        os.mkdir(full, 0o700)
        self._directories[path] = _IMPLIED

    def _lstat(self, path: str) -> os.stat_result | None:
        try:
            # The root itself may be given as a symlink.
            return os.lstat(self.full(path)) if path else os.stat(self._root)
        except FileNotFoundError:
            return None

    def _put_directory(self, entry: Entry) -> None:
        self._enter(entry.path)
        self._directories[entry.path] = _Attributes(entry.mode, entry.mtime * 1_000_000_000)
        full = self.full(entry.path)
        with suppress(OSError):
            for name in os.listxattr(full, follow_symlinks=False):
                if is_kept_xattr(name) and name not in dict(entry.xattrs):
                    os.removexattr(full, name, follow_symlinks=False)
        self._set_owner(full, entry)
        _set_xattrs(full, entry)

    def _put_leaf(self, entry: Entry, content: Content | None) -> int:
        full = self.full(entry.path)
        if entry.kind is Kind.HARDLINK:
            first = self.full(entry.target)
            _make(full, lambda: os.link(first, full, follow_symlinks=False))
            return 0
        written = 0
        if entry.kind is Kind.FILE:
            descriptor = _make(full, lambda: os.open(full, _CREATE, 0o600))
            try:
                written = _write_all(descriptor, content)
            finally:
                os.close(descriptor)
        elif entry.kind is Kind.SYMLINK:
            _make(full, lambda: os.symlink(entry.target, full))
        else:
            _make(full, lambda: os.mkfifo(full, 0o600))
        self._set_owner(full, entry)
        # Capabilities go with a change of owner or content, setuid bits with a change of owner: they come after.
        _set_xattrs(full, entry)
        if entry.kind is not Kind.SYMLINK:
            os.chmod(full, entry.mode)
        os.utime(full, (entry.mtime, entry.mtime), follow_symlinks=False)
        return written

    def _set_owner(self, full: str, entry: Entry) -> None:
        if self._is_root:
            user, group = entry.owner if self._owned else ROOT
            os.chown(full, user, group, follow_symlinks=False)

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        where = f"{path!r} below {self._root!r}" if path else repr(self._root)
        with translated(f"write {where}", self._root):
            yield


def _make(full: str, create: Callable[[], T]) -> T:
    """Create something at ``full``, where mostly nothing stands yet."""
    try:
        return create()
    except FileExistsError:
        remove_tree(full)
        return create()


def _write_all(descriptor: int, content: Content | None) -> int:
    written = 0
    while content is not None and (piece := content.read(_PIECE)):
        left = memoryview(piece)
        while left:
            left = left[os.write(descriptor, left) :]
        written += len(piece)
    return written


def _set_xattrs(full: str, entry: Entry) -> None:
    for name, value in entry.xattrs:
        if is_kept_xattr(name):
            try:
                os.setxattr(full, name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NOT_POSSIBLE:
                    raise
