"""Small files that somebody else has written, such as a Kubefile: regular ones of bounded size, in their own folder.

A repository can hold a symlink to anything: a device that never ends, a file of the host that nobody meant to show.
"""

from __future__ import annotations

import errno
import os
import stat

MOST = 4 << 20
"""Bytes that a Kubefile, an ignore file or a list may have; none that people write has a tenth of it."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# What a shell makes of <(command), or of - : not a file, and meant so.
_HANDED_OVER = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


def read_small(path: str, *, within: str | None = None, most: int = MOST) -> bytes:
    """Return the content of a small regular file; with ``within``, of one that lies in that folder, links followed.

    Units:  ``most`` in bytes.
    Raises: OSError as ``open`` does, and with a reason of ours for what is no such file.
    """
    if within is not None and os.path.dirname(path) == within:
        # Most ignore files are not there, and what is not there leads nowhere.
        os.lstat(path)
    if within is not None and not is_within(path, within):
        raise OSError(errno.EPERM, f"it leads out of {within}")
    if within is None and path.startswith(_HANDED_OVER):
        with open(path, "rb") as stream:
            return _bounded(stream.read(most + 1), most)
    # A named pipe that nobody writes to would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind != stat.S_IFREG:
            code = errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL
            raise OSError(code, f"it is {_KINDS.get(kind, 'of another kind')}, where a file is expected")
        with open(descriptor, "rb", closefd=False) as stream:
            return _bounded(stream.read(most + 1), most)
    finally:
        os.close(descriptor)


def read_start(path: str, size: int) -> bytes:
    """Return the first bytes of a regular file, none of what is no such file or cannot be read; no link is followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return b""
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return os.read(descriptor, size) if is_file else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def is_within(path: str, folder: str) -> bool:
    """Return whether ``path``, its links followed, lies in ``folder``."""
    real = os.path.join(os.path.realpath(folder), "")
    return os.path.join(os.path.realpath(path), "").startswith(real)


def _bounded(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes")
    return data
