"""Advisory locks on whole files. The kernel lets go of a lock with the process that held it, however that ended."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kubeimage.store.failures import store_error

_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def shared(path: str) -> Iterator[None]:
    """Hold the lock at ``path`` together with others; wait while somebody holds it alone.

    Where the store cannot be written and nobody has ever made the lock, it is held by doing nothing.
    Raises: StoreAccessError.
    """
    try:
        descriptor = _open_for_reader(path)
    except OSError as error:
        raise store_error(error, "open the lock", path) from error
    if descriptor is None:
        yield
        return
    with _held(descriptor, fcntl.LOCK_SH, path):
        yield


@contextmanager
def exclusive(path: str) -> Iterator[None]:
    """Hold the lock at ``path`` alone; wait for all who hold it.

    Raises: StoreAccessError.
    """
    try:
        descriptor = _open(path)
    except OSError as error:
        raise store_error(error, "open the lock", path) from error
    with _held(descriptor, fcntl.LOCK_EX, path):
        yield


def try_exclusive(descriptor: int) -> bool:
    """Lock the open file alone, unless somebody else holds it.

    Raises: OSError where the filesystem cannot lock.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def release(descriptor: int) -> None:
    """Let go of the lock and close the file; a child that inherited the descriptor does not keep the lock."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _open_for_reader(path: str) -> int | None:
    try:
        return _open(path)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
    with suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


@contextmanager
def _held(descriptor: int, operation: int, path: str) -> Iterator[None]:
    try:
        try:
            fcntl.flock(descriptor, operation)
        except OSError as error:
            raise store_error(error, "lock", path) from error
        yield
    finally:
        release(descriptor)
