"""The operating system's errors as the store's: what was wanted, what stood in the way, where, and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from kubeimage.errors import StoreAccessError, StoreError, StoreFullError

ELSEWHERE = "use --root or KUBEIMAGE_ROOT to name a folder you can write to"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_HINTS = {
    errno.EACCES: ELSEWHERE,
    errno.EPERM: ELSEWHERE,
    errno.EROFS: ELSEWHERE,
    errno.ENOTDIR: "the store's root and everything above it must be folders; name another one with --root",
    errno.EMFILE: "this process has too many files open; raise the limit with ulimit -n",
    errno.ENFILE: "this machine has too many files open; raise fs.file-max",
    errno.EIO: "the disk or its driver failed; look at dmesg, then run kubeimage fsck",
    errno.ENOLCK: "this filesystem cannot lock files; put the store on another one with --root",
    errno.ENOTSUP: "this filesystem lacks what a store needs; put the store on another one with --root",
}


@contextmanager
def translated(wanted: str, path: str) -> Iterator[None]:
    """Raise an OSError of the block as a StoreError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise store_error(error, wanted, path) from error


def store_error(error: OSError, wanted: str, path: str) -> StoreError:
    """Make the StoreError that says what ``error`` means for somebody who ``wanted`` something of ``path``."""
    message = f"cannot {wanted} {path}: {error.strerror or error}"
    if error.errno in _FULL:
        return StoreFullError(message, hint=f"kubeimage prune frees space in the store; {_free_space(path)}")
    return StoreAccessError(message, hint=_HINTS.get(error.errno or 0))


def _free_space(path: str) -> str:
    """How much room there is; a quota and a file size limit stop a write long before that is used up."""
    folder = path
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    try:
        status = os.statvfs(folder)
    except OSError:
        return "or put the store on a larger disk with --root"
    return f"{status.f_bavail * status.f_frsize >> 20} MiB and {status.f_favail} inodes are free there"
