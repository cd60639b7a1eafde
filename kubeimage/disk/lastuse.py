"""When a file or folder was last used: its own modification time, set now and then, and never waited for.

Reading a file is no use of it: times of access would also be set by who only looks, verifies or copies.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

GRAIN = 3600
"""What is used twice within it is noted once. Units: seconds."""


def note_use(path: str) -> None:
    """Note that what is at ``path`` is used now, unless that was noted within the last hour.

    A disk that is full or may not be written is no reason to fail.
    """
    with suppress(OSError):
        now = time.time()
        if not 0 <= now - os.stat(path).st_mtime < GRAIN:
            os.utime(path, (now, now))


def note_use_beside(path: str) -> None:
    """Note that what is at ``path``, whose own times mean something else, is used now: in a file beside it."""
    mark = mark_of(path)
    with suppress(OSError):
        if not os.path.exists(mark):
            os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        note_use(mark)


def mark_of(path: str) -> str:
    """Return the file that says when what is at ``path`` was last used."""
    return f"{path}.used"


def last_use(path: str) -> float:
    """Return when what is at ``path`` was last used, or made.

    Units:  seconds since 1970; 0 where it is not there.
    """
    with suppress(OSError):
        return os.stat(path).st_mtime
    return 0.0


def last_use_beside(path: str) -> float:
    """Return when what is at ``path``, whose own times mean something else, was last used, or made.

    Units:  seconds since 1970; 0 where it is not there.
    """
    with suppress(OSError):
        return os.stat(mark_of(path)).st_mtime
    with suppress(OSError):
        return os.stat(path).st_ctime
    return 0.0
