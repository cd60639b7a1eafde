"""Threads, on a machine that may let nobody have one more.

A container's limit of processes counts threads too. Where it is reached, Python raises a RuntimeError that says nothing
of it; what only helps is done without then.

Source: pthread_create(3), "EAGAIN"; cgroup-v2, "pids.max".
"""

from __future__ import annotations

import errno
import threading


def begin(thread: threading.Thread) -> None:
    """Start a thread that is needed.

    Raises: OSError, EAGAIN, where there cannot be one more.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "this system allows no more processes") from error


def can_begin(thread: threading.Thread) -> bool:
    """Start a thread that only helps; return whether it runs."""
    try:
        begin(thread)
    except OSError:
        return False
    return True


__all__ = ["begin", "can_begin"]
