"""Files and trees as the store handles them: written whole, made durable, removed whatever is in them."""

from __future__ import annotations

import errno
import os
import posix
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kubeimage.errors import StoreAccessError
from kubeimage.store.failures import translated

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of ``data``; the kernel may take it in pieces."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def is_of_system(path: str, descriptor: int) -> bool:
    """Return whether ``descriptor`` is the system's own, and open at ``path``: where `os` is stood in for, it is not.

    Another process that is handed such a number would write into another file.
    """
    try:
        there, opened = posix.stat(path), posix.fstat(descriptor)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino)


def write_new_file(path: str, data: bytes, *, durable: bool = True) -> None:
    """Write a file that is not there yet.

    Raises: StoreFullError, StoreAccessError.
    """
    with translated("write", path):
        descriptor = os.open(path, NEW_FILE, 0o644)
        try:
            write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_file(written: str, path: str, *, durable: bool = True) -> None:
    """Put the file ``written`` at ``path``, whole or not at all, and with ``durable`` wait until the disk knows.

    Raises: StoreFullError, StoreAccessError; after the replacement only where the disk fails.
    """
    with translated("replace", path), _opened_directory(os.path.dirname(path)) as directory:
        os.replace(written, path)
        if durable:
            os.fsync(directory)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable.

    Raises: StoreFullError, StoreAccessError.
    """
    with translated("write out", path), _opened_directory(path) as directory:
        os.fsync(directory)


@contextmanager
def _opened_directory(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def tree_size(path: str) -> int:
    """Add up the bytes that removing ``path`` frees: a file with several names counts once, and if all are there."""
    size = 0
    names_left: dict[tuple[int, int], int] = {}
    for name in _iter_tree(path):
        with suppress(OSError):
            status = os.lstat(name)
            if not stat.S_ISDIR(status.st_mode):
                identity = status.st_dev, status.st_ino
                names_left[identity] = names_left.get(identity, status.st_nlink) - 1
                size += 0 if names_left[identity] else status.st_size
    return size


def _iter_tree(path: str) -> Iterator[str]:
    yield path
    for folder, directories, files in os.walk(path):
        for name in (*directories, *files):
            yield os.path.join(folder, name)


def try_remove_tree(path: str) -> bool:
    """Remove ``path`` and what is below it, as far as that is possible; tell whether it is gone.

    Where something is mounted on it or below, everything stays.
    """
    for remove in (os.unlink, os.rmdir, _remove_directory):
        try:
            remove(path)
        except FileNotFoundError:
            return True
        except (OSError, StoreAccessError):
            continue
        return True
    return False


def _remove_directory(path: str) -> None:
    from kubeimage.disk.removal import remove_tree

    if _has_mount(path):
        raise OSError(errno.EBUSY, "something is mounted there", path)
    remove_tree(path)


def _has_mount(path: str) -> bool:
    """Whether something is mounted on ``path`` or below it, as far as this process can see."""
    escaped = re.sub(r"[ \t\n\\]", lambda match: f"\\{ord(match[0]):03o}", os.path.abspath(path))
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            places = [line.split(" ", 5)[4] for line in file]
    except OSError:
        return False
    return any(f"{place}/".startswith(f"{escaped}/") for place in places)
