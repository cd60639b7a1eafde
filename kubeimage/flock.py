"""Locks on files as the kernel keeps them: letting go of one, for the rooms that hold some."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress


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
