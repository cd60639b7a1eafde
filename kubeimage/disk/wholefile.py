"""A file that is there when it is whole, and not before, whatever becomes of who writes it.

An unfinished file has no name, or one that tells whose it is; it is locked while it is written, so the next writer
knows what a killed one has left, and removes it.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from kubeimage.disk.failures import translated
from kubeimage.disk.flock import own, remove_leftovers
from kubeimage.errors import UsageError

_DESCRIPTORS = "/proc/self/fd"
# What the filesystem, or the system, says that has no files without a name.
_UNKNOWN = {errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.EOPNOTSUPP}


def check_target(path: str) -> None:
    """Find out before any work whether a file can be written there.

    Raises: UsageError.
    """
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):
        raise UsageError(f"{path!r} is a folder", hint="name the file to write")
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {folder!r} to write {os.path.basename(path)!r} in")


@contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """Yield a file to write that takes the place of ``path`` when it is whole; if anything fails, nothing has changed.

    Pipes and devices are written directly.
    Raises: StoreFullError, StoreAccessError.
    """
    with translated(f"write {path!r}", path):
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as special:
                yield special
            return
        target = os.path.realpath(path)
        remove_leftovers(os.path.dirname(target), _prefix(target), os.unlink)
        handle = _open_nameless(os.path.dirname(target))
        if handle is not None:
            with open(handle, "wb") as file:
                yield file
                _finish(file)
                _give_name(file, target)
            sync_names(os.path.dirname(target))
            return
        handle, unfinished = _make_named(target)
        with _removed_if_left(unfinished), open(handle, "wb") as file:
            yield file
            _finish(file)
            # Before it is closed, and with that no longer locked.
            os.replace(unfinished, target)
        sync_names(os.path.dirname(target))


def _open_nameless(folder: str) -> int | None:
    """Open a file without a name, which is gone with a process that is killed; None where there are none such."""
    if not hasattr(os, "O_TMPFILE") or not os.path.isdir(_DESCRIPTORS):
        return None
    try:
        handle = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in _UNKNOWN:
            return None
        raise
    return handle if own(handle) else None


def _make_named(target: str) -> tuple[int, str]:
    """Make a file beside ``target``; give its descriptor and its path."""
    while True:
        handle, unfinished = tempfile.mkstemp(prefix=_prefix(target), dir=os.path.dirname(target))
        if own(handle, unfinished):
            return handle, unfinished


def _finish(file: BinaryIO) -> None:
    file.flush()
    os.fchmod(file.fileno(), 0o666 & ~_umask())
    os.fsync(file.fileno())


def sync_names(folder: str) -> None:
    """Wait until the disk has the names in a folder; one that may be written to and not read does without."""
    with suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _give_name(file: BinaryIO, target: str) -> None:
    """Link the nameless file to the name ``target``; where that is taken, it gets another one for a moment.

    No call puts a nameless file in the place of another one: who is killed in that moment leaves the whole file beside,
    for the next writer to remove.
    """
    try:
        _link(file.fileno(), target)
    except FileExistsError:
        unfinished = os.path.join(os.path.dirname(target), f"{_prefix(target)}{os.urandom(8).hex()}")
        with _removed_if_left(unfinished):
            _link(file.fileno(), unfinished)
            os.replace(unfinished, target)


def _link(descriptor: int, path: str) -> None:
    # Without a folder, though an absolute path needs none, Python makes a call that links the link itself.
    os.link(f"{_DESCRIPTORS}/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)


def _prefix(target: str) -> str:
    return f".{os.path.basename(target)}.kubeimage-"


@contextmanager
def _removed_if_left(path: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise


def _umask() -> int:
    """Read the umask without changing it for a moment: other threads make files."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            return next(int(line.split()[1], 8) for line in status if line.startswith("Umask:"))
    except (OSError, StopIteration, ValueError):
        return 0o022
