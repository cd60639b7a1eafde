"""Advisory locks on whole files. The kernel lets go of a lock with the process that held it, however that ended.

The kernel is not fair: as long as somebody shares a lock, it is given to whoever wants to share it too, and who wants
it alone may wait for ever. So those two kinds queue up at a second lock, the turn: who wants the lock alone keeps the
turn until the lock is free again, and all others only until they have it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kubeimage.disk.flock import release
from kubeimage.errors import StoreAccessError
from kubeimage.store.failures import translated

_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def exclusive(path: str) -> Iterator[None]:
    """Hold a lock that nobody ever shares.

    Raises: StoreAccessError.
    """
    descriptor = _lock(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        release(descriptor)


@contextmanager
def alone(path: str) -> Iterator[None]:
    """Hold a lock that others share, when all who have it now are done with it.

    Raises: StoreAccessError.
    """
    with exclusive(_turn_of(path)), exclusive(path):
        yield


@contextmanager
def shared(path: str) -> Iterator[None]:
    """Hold a lock together with others; wait for who holds it alone, or was there first to do so.

    Where there is no lock and none can be made, it is held by doing nothing.
    Raises: StoreAccessError.
    """
    descriptor = _try_to_share(path)
    try:
        yield
    finally:
        if descriptor is not None:
            release(descriptor)


def _turn_of(path: str) -> str:
    return f"{path.removesuffix('.lock')}.turn"


def _try_to_share(path: str) -> int | None:
    descriptor = None
    try:
        with exclusive(_turn_of(path)):
            descriptor = _lock(path, fcntl.LOCK_SH)
    except StoreAccessError as error:
        if getattr(error.__cause__, "errno", None) in _READ_ONLY:
            return None
        raise
    except BaseException:
        # Interrupted with the lock already held: left behind, it would stop this very process.
        if descriptor is not None:
            release(descriptor)
        raise
    return descriptor


def _lock(path: str, operation: int) -> int:
    with translated("lock", path):
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, operation)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        # Another user's lock can be locked without being written, on most filesystems.
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        raise
