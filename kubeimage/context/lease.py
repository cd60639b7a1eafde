"""Whether somebody has a file open for writing: then its content can change, and none of its times need tell.

The kernel stamps a file when a write through a mapping begins, and not at the writes after that, for as long as the
page stays dirty. It stamps a file when a call of write begins, and not when its last byte arrives. Both need a file
that is open for writing, and a mapping keeps it open after it was closed. So after a moment in which nobody had the
file open for writing, each further change begins with a new ctime.

The kernel gives a read lease on just such a file. It is given back at once.

Source: fcntl(2), F_SETLEASE; Linux, fs/locks.c, check_conflicting_open.
"""

from __future__ import annotations

import fcntl
import os
import signal

from kubeimage.layer.entry import FileIdentity

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# For ten thousand files, plain numbers: an enum's costs as much as the call.
_SET_SIGNAL, _IGNORED = getattr(fcntl, "F_SETSIG", 10), signal.SIGURG.value
_SET_LEASE, _READ, _NONE = fcntl.F_SETLEASE, fcntl.F_RDLCK, fcntl.F_UNLCK


def is_at_rest(path: str, identity: FileIdentity) -> bool:
    """Return whether the file at ``path`` is the one of ``identity``, and nobody has it open for writing.

    False as well where that cannot be asked: a lease is for a file's owner, or needs CAP_LEASE.
    """
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            status = os.fstat(descriptor) if rests(descriptor) else None
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return status is not None and (status.st_ino, status.st_dev) == identity[3:]


def rests(descriptor: int) -> bool:
    """Return whether nobody has the file open for writing that is open for reading as ``descriptor``.

    False as well where that cannot be asked.
    """
    try:
        # Who opens the file for writing meanwhile waits for us, and we are sent a signal. This one is ignored.
        fcntl.fcntl(descriptor, _SET_SIGNAL, _IGNORED)
        fcntl.fcntl(descriptor, _SET_LEASE, _READ)
        # A process that was forked just now may hold the descriptor for longer.
        fcntl.fcntl(descriptor, _SET_LEASE, _NONE)
    except OSError:
        return False
    return True
