"""Locks on files as the kernel keeps them, which ends them with the process that holds them.

So what is locked while somebody works on it, and is not locked any more, was left by a process that died.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


def try_exclusive(descriptor: int) -> bool:
    """Lock the open file alone, unless somebody else holds it.

    Raises: OSError where the filesystem cannot lock.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(path: str) -> Iterator[None]:
    """Hold the lock on a file, made where there is none, and wait for it as long as others do.

    Raises: OSError where it cannot be made or locked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        release(descriptor)


def own(descriptor: int, path: str | None = None) -> bool:
    """Lock the open file or folder that was just made, at ``path`` if it has a name; what cannot be had is closed.

    Somebody may have taken it for a leftover. Where the filesystem cannot lock, nobody takes anything.
    """
    owned = False
    try:
        owned = try_exclusive(descriptor) and (path is None or os.path.lexists(path))
    except OSError:
        owned = True
    finally:
        if not owned:
            release(descriptor)
    return owned


def release(descriptor: int) -> None:
    """Release the lock and close the file, whatever of it fails: one left behind would stop this very process."""
    try:
        # A child that inherited the descriptor does not keep the lock.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        # Nothing was written through it that anybody waits for.
        with suppress(OSError):
            os.close(descriptor)


def remove_leftovers(folder: str, prefix: str, remove: Callable[[str], object]) -> None:
    """Remove what dead processes of this user left in a folder under names that begin so, as far as that is possible.

    What others left is theirs: in a folder for everybody, somebody may put there what root should not touch.
    """
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(prefix):
                _remove_if_free(os.path.join(folder, name), remove)


def _remove_if_free(path: str, remove: Callable[[str], object]) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid() and try_exclusive(descriptor):
                remove(path)
        finally:
            release(descriptor)
