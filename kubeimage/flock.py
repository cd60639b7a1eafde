"""Locks on files as the kernel keeps them: taking one at once or not at all, and letting go of it."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress


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
    """Let go of the lock and close the file, whatever of it fails: one left behind would stop this very process."""
    try:
        # A child that inherited the descriptor does not keep the lock.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        # Nothing was written through it that anybody waits for.
        with suppress(OSError):
            os.close(descriptor)
