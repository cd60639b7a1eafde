"""One file on disk as an entry of a layer, or the reason why no layer can hold it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from kubeimage.errors import UnsupportedSourceError
from kubeimage.layer.disk import CAPABILITY, is_kept_xattr
from kubeimage.layer.entry import WHITEOUT_PREFIX, Entry, Kind, identity_of

_READABLE = 0o400
_HINT = "remove it at the end of the RUN"
_UNSUPPORTED = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
# A capability that was set in a user namespace says which one, after the fields that all have (struct vfs_cap_data).
_CAPABILITY_VERSION_2, _CAPABILITY_VERSION_3 = 0x02000000, 0x03000000
_CAPABILITY_VERSIONS = 0xFF000000
_CAPABILITY_SIZE = 20


def check_name(name: str, path: str) -> None:
    """Refuse a name that no layer can hold.

    Raises: UnsupportedSourceError.
    """
    if name.startswith(WHITEOUT_PREFIX):
        raise UnsupportedSourceError(
            f"the RUN made {path!r}, but names that start with {WHITEOUT_PREFIX!r} mark deletions in a layer",
            hint="rename it",
        )
    if not _is_text(name):
        raise UnsupportedSourceError(f"the RUN made {path!r}, whose name is not UTF-8", hint="rename it")


def entry_of(path: str, full: str, status: os.stat_result) -> Entry:
    """Return what stands at ``full`` as the entry ``path``; its content is left where it is.

    Raises: UnsupportedSourceError for a socket or a device, and for text that is not UTF-8.
    """
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISREG(status.st_mode):
        xattrs = xattrs_of(full, path)
        return Entry(path, Kind.FILE, mode, status.st_size, xattrs=xattrs, source=full, identity=identity_of(status))
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, Kind.DIRECTORY, mode, xattrs=xattrs_of(full, path))
    if stat.S_ISLNK(status.st_mode):
        return Entry(path, Kind.SYMLINK, 0o777, target=_target(full, path))
    if stat.S_ISFIFO(status.st_mode):
        return Entry(path, Kind.FIFO, mode, xattrs=xattrs_of(full, path))
    what = _UNSUPPORTED.get(stat.S_IFMT(status.st_mode), "of an unknown type")
    raise UnsupportedSourceError(f"the RUN left {path!r}, which is {what}: no layer can hold it", hint=_HINT)


def xattrs_of(full: str, path: str) -> tuple[tuple[str, bytes], ...]:
    """Return the xattrs that a layer keeps of ``full``, sorted.

    Raises: UnsupportedSourceError for a name that is not UTF-8.
    """
    try:
        names = [name for name in os.listxattr(full, follow_symlinks=False) if is_kept_xattr(name)]
    except OSError:
        # The file system has none.
        return ()
    for name in names:
        if not _is_text(name):
            raise UnsupportedSourceError(f"the RUN gave {path!r} the xattr {name!r}, whose name is not UTF-8")
    return tuple((name, _plain(name, os.getxattr(full, name, follow_symlinks=False))) for name in sorted(names))


@contextmanager
def readable(full: str, status: os.stat_result) -> Iterator[None]:
    """Make a file readable for its owner meanwhile, whatever its mode says; only an ordinary user needs that."""
    mode = stat.S_IMODE(status.st_mode)
    closed = stat.S_ISREG(status.st_mode) and not mode & _READABLE and os.geteuid() != 0
    if closed:
        os.chmod(full, mode | _READABLE)
    try:
        yield
    finally:
        if closed:
            os.chmod(full, mode)


def _target(full: str, path: str) -> str:
    target = os.readlink(full)
    if not _is_text(target):
        raise UnsupportedSourceError(f"the RUN made the symlink {path!r}, whose target {target!r} is not UTF-8")
    return target


def _plain(name: str, value: bytes) -> bytes:
    """Take from a capability the user namespace that it was set in: as root, outside of any, it has none."""
    magic = int.from_bytes(value[:4], "little")
    if name != CAPABILITY or magic & _CAPABILITY_VERSIONS != _CAPABILITY_VERSION_3:
        return value
    plain = magic & ~_CAPABILITY_VERSIONS | _CAPABILITY_VERSION_2
    return plain.to_bytes(4, "little") + value[4:_CAPABILITY_SIZE]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
