"""The operating system's errors in our words: one failure has one code and one hint, whoever meets it.

| what stands in the way | error | the way out |
| --- | --- | --- |
| no space, no inodes (ENOSPC) | StoreFullError | make room; in a store, prune |
| a quota (EDQUOT) | StoreFullError | the same, as far as the quota goes |
| a limit on the size of a file (EFBIG) | StoreFullError | raise the limit: no room would help |
| no right to write (EACCES, EPERM, EROFS) | StoreAccessError | another place |
| all else | StoreAccessError | what is known of it |
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from kubeimage.errors import StoreAccessError, StoreFullError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_FILE_SIZE = "a limit on the size of files is met: ulimit -f shows that of this process; or use another filesystem"
_HINTS = {
    errno.EMFILE: "this process has too many files open; raise the limit with ulimit -n",
    errno.ENFILE: "this machine has too many files open; raise fs.file-max",
    errno.EIO: "the disk or its driver failed; look at dmesg",
    errno.ENOLCK: "this filesystem cannot lock files; choose another one",
}
_STORE_HINTS = {
    errno.ENOTDIR: "the store's root and everything above it must be folders; name another one with --root",
    errno.EIO: "the disk or its driver failed; look at dmesg, then run kubeimage fsck",
    errno.ENOLCK: "this filesystem cannot lock files; put the store on another one with --root",
    errno.ENOTSUP: "this filesystem lacks what a store needs; put the store on another one with --root",
}
ELSEWHERE = "use --root or KUBEIMAGE_ROOT to name a folder you can write to"


@contextmanager
def translated(wanted: str, path: str, *, store: bool = False) -> Iterator[None]:
    """Raise an OSError of the block as what `disk_error` makes of it.

    Raises: StoreFullError, StoreAccessError.
    """
    try:
        yield
    except BrokenPipeError:
        # Nobody reads any more: no failure of a disk.
        raise
    except OSError as error:
        raise disk_error(error, wanted, path, store=store) from error


def disk_error(error: OSError, wanted: str, path: str, *, store: bool = False) -> StoreFullError | StoreAccessError:
    """Return the error that says what ``error`` means for somebody who ``wanted`` something.

    Shape:  ``wanted`` stands behind "cannot", with the path as a person is to read it. ``path`` is where it was.
            ``store`` says that it lies in a store, where ``kubeimage prune`` makes room.
    """
    message = f"cannot {wanted}: {error.strerror or error}"
    kind = StoreFullError if is_full(error) else StoreAccessError
    return kind(message, hint=hint_for(error, path, store=store))


def is_full(error: OSError) -> bool:
    """Return whether ``error`` says that no more fits."""
    return error.errno in _FULL


def hint_for(error: OSError, path: str, *, store: bool = False) -> str | None:
    """Return what to do about ``error`` at ``path``; None where nobody knows."""
    code = error.errno or 0
    if code == errno.EFBIG:
        return _FILE_SIZE
    if code in _FULL:
        room = "kubeimage prune frees space in the store" if store else "make room there"
        return f"{room}; {_free_space(path)}"
    if code in _FORBIDDEN:
        return ELSEWHERE if store else "choose a place that you may write to"
    return (_STORE_HINTS if store else {}).get(code) or _HINTS.get(code)


def _free_space(path: str) -> str:
    """Say how much room there is; a quota stops a write long before that is used up."""
    folder = os.path.abspath(path)
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    try:
        status = os.statvfs(folder)
    except OSError:
        return "or choose a larger disk"
    return f"{status.f_bavail * status.f_frsize >> 20} MiB and {status.f_favail} inodes are free there"


__all__ = ["ELSEWHERE", "disk_error", "hint_for", "is_full", "translated"]
