r"""A file system in memory with a store on it: the parser, the collector, the store and the cache are the real ones.

with KubeFs() as kube_fs:
    image = kube_fs.build("FROM scratch\nCOPY a etc\nRUN echo 2 > etc/b", {"a": "1"})
    assert image.rootfs == {"etc/a": "1", "etc/b": "2\n"}
    assert [one for one in kube_fs.check() if one.damage] == []

From its beginning to its end ``open``, ``os`` and all that stands on them see pyfakefs's files and no others, so no
program can be started: mounts and RUN are in memory as well. Ways of the system that pyfakefs knows nothing of are
refused there, so that nothing real is touched; kubeimage then goes the slow way.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import MethodType, TracebackType
from typing import Any, NoReturn, Self

from pyfakefs.fake_file import FakeFile
from pyfakefs.fake_filesystem import FakeFilesystem
from pyfakefs.fake_filesystem_unittest import Patcher
from pyfakefs.fake_os import FakeOsModule, handle_original_call

from harness.asking.options import Settings
from harness.cases.building import KubeBuild
from harness.cases.workshop import Workshop
from harness.fakes.mounts import MemoryMounter
from harness.fakes.runner import ShellInterpreter
from harness.faults.modules import builder_modules
from harness.trees import Tree, write_tree
from kubeimage import store
from kubeimage.api.backends import Backends, open_backends
from kubeimage.cache import CacheRecords
from kubeimage.store.fsck import Finding

FOLDER = "/kubeimage"

_ANY_SIZE = 1 << 60
_UNKNOWN = ("copy_file_range", "memfd_create", "posix_fadvise", "sendfile", "statvfs")


class KubeFs:
    """A file system in memory, from the beginning of the context to its end, with an empty store on it.

    Shape: ``root`` is the store's folder. ``build`` takes what the fixture ``kube_build`` takes, except for
           ``backend``; all builds go into the one store. ``fs`` is pyfakefs's own.
    """

    root = f"{FOLDER}/store"

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        # pyfakefs forgets modules that are imported on its files.
        builder_modules()
        with ExitStack() as stack:
            patcher = stack.enter_context(Patcher())
            assert patcher.fs is not None
            self.fs: FakeFilesystem = patcher.fs
            stack.enter_context(_corrected(patcher))
            self.fs.create_dir(FOLDER)
            self.build = KubeBuild(_Workshop(_Place(self.root)))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def open(self) -> AbstractContextManager[Backends]:
        """Open the store, with what builds in it."""
        return _Place(self.root).open()

    def write(self, tree: Tree, folder: str = "/context") -> str:
        """Write a tree, as a build context, and give its folder."""
        write_tree(folder, tree)
        return folder

    def leave_room(self, size: int) -> None:
        """Make the disk full once ``size`` more bytes are written."""
        self.fs.set_disk_usage(_ANY_SIZE)
        self.fs.set_disk_usage(self.fs.get_disk_usage()[1] + size)

    def check(self) -> list[Finding]:
        """Find out whether the store is whole, as ``kubeimage fsck`` does."""
        with store.Store.open(self.root, cache=CacheRecords(store.cache_folder(self.root))) as opened:
            return opened.check()


@dataclass(frozen=True)
class _Place:
    """The store on the fake files, as `harness.images.backends.Place`."""

    folder: str

    @property
    def root(self) -> None:
        """No folder that other processes could use."""

    @contextmanager
    def open(self) -> Iterator[Backends]:
        with open_backends(self.folder, mount="copy", isolation="none") as backends:
            yield replace(backends, mounter=MemoryMounter(backends.layers), runner=ShellInterpreter())

    def fresh(self, folder: str) -> _Place:
        return _Place(os.path.join(folder, "store"))


class _Workshop(Workshop):
    """A place of work where all that is new goes into the same store."""

    def __init__(self, place: _Place) -> None:
        super().__init__(Settings(), FOLDER)
        self._only_place = place

    def new_place(self, backend: str | None = None) -> _Place:
        if backend is not None:
            raise ValueError(f"a build on fake files has its own backend, not {backend!r}")
        return self._only_place


@contextmanager
def _corrected(patcher: Patcher) -> Iterator[None]:
    """Make pyfakefs do as the system does, where it matters to a store."""
    fake = patcher.fake_modules
    functions: list[tuple[Any, str, Callable[..., object]]] = [
        (fake["os"], "open", MethodType(handle_original_call(_open), fake["os"])),
        (fake["os"], "mkfifo", MethodType(handle_original_call(_mkfifo), fake["os"])),
        (fake["fcntl"], "flock", _Locks(fake["os"].filesystem).flock),
        *((fake["os"], name, _refuse) for name in _UNKNOWN),
    ]
    for module, name, function in functions:
        setattr(module, name, function)
    try:
        yield
    finally:
        for module, name, _ in functions:
            delattr(module, name)


def _open(self: FakeOsModule, path: str, flags: int, mode: int | None = None, *, dir_fd: int | None = None) -> int:
    """Open a file.

    pyfakefs gives ``mode`` to one that is there as well, which changes its ctime too; and what it has no room for, it
    makes all the same.
    """
    try:
        before = self.lstat(path, dir_fd=dir_fd)
    except OSError:
        before = None
    try:
        descriptor = FakeOsModule.open(self, path, flags, 0o777 if mode is None else mode, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.ENOSPC and before is None:
            self.unlink(path, dir_fd=dir_fd)
        raise
    opened = self.filesystem.get_open_file(descriptor).get_object()
    if before is not None and not flags & os.O_TRUNC and isinstance(opened, FakeFile):
        opened.st_mode = stat.S_IFMT(opened.st_mode) | stat.S_IMODE(before.st_mode)
        opened.stat_result.st_ctime_ns = before.st_ctime_ns
    return descriptor


def _mkfifo(self: FakeOsModule, path: str, mode: int = 0o666) -> None:
    """Make a named pipe, which pyfakefs knows nothing of; it can be looked at, not opened."""
    folder, name = self.path.split(path)
    if self.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    fifo = FakeFile(name, stat.S_IFIFO | mode & ~self.filesystem.umask, filesystem=self.filesystem)
    self.filesystem.add_object(folder, fifo)


def _refuse(*_arguments: object) -> NoReturn:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


class _Locks:
    """flock(2) between the sessions of this process: pyfakefs lets everybody have every lock."""

    def __init__(self, filesystem: FakeFilesystem) -> None:
        self._filesystem = filesystem
        self._held: dict[Any, int] = {}
        self._changed = threading.Condition()

    def flock(self, descriptor: int, operation: int) -> None:
        """Take or leave the lock of an open file."""
        opened = self._filesystem.get_open_file(descriptor)
        with self._changed:
            self._forget_closed()
            if operation & fcntl.LOCK_UN:
                self._held.pop(opened, None)
                self._changed.notify_all()
                return
            while self._is_held(opened, operation):
                if operation & fcntl.LOCK_NB:
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                # Closing a file lets go of its lock as well, and tells nobody.
                self._changed.wait(0.01)
                self._forget_closed()
            self._held[opened] = operation

    def _is_held(self, opened: Any, operation: int) -> bool:
        others = [kind for one, kind in self._held.items() if one is not opened and _same_file(one, opened)]
        return any((kind | operation) & fcntl.LOCK_EX for kind in others)

    def _forget_closed(self) -> None:
        live = {id(one) for files in self._filesystem.open_files for one in files or ()}
        self._held = {one: kind for one, kind in self._held.items() if id(one) in live}


def _same_file(one: Any, other: Any) -> bool:
    return one.get_object() is other.get_object()
