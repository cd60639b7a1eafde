"""A file's content as it goes into a layer: read once, and refused if it changed since it was looked at."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kubeimage.errors import ContextChangedError, UnreadableSourceError
from kubeimage.layer.entry import Entry, FileIdentity, identity_of

# O_NONBLOCK: a file that became a fifo must not make the reader wait for a writer.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_REPLACED = {
    errno.ENOENT: "it is gone",
    errno.ENOTDIR: "it is gone",
    errno.ELOOP: "it became a symlink",
    errno.EISDIR: "it became a directory",
    errno.ENXIO: "it became a socket",
}


Opened = Callable[[int], object]
"""Is told the descriptor of a file that is about to be read."""


def read_small(entry: Entry, path: str, opened: Opened | None = None) -> tuple[bytes, bytes]:
    """Return the content of the file at ``path``, which is ``entry.size`` long, and its sha256.

    Raises: ContextChangedError, UnreadableSourceError.
    """
    size = entry.size
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            if opened is not None:
                opened(descriptor)
            expected = entry.identity or identity_of(os.fstat(descriptor))
            # One byte more than there should be, so that growth is seen as well as the end.
            data = os.read(descriptor, size + 1)
            if len(data) < size:
                data = _read_on(descriptor, data, size + 1)
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _translate(error, path) from error
    digest = hashlib.sha256(data).digest()
    if len(data) != size or identity_of(status) != expected or not stat.S_ISREG(status.st_mode):
        _check_again(entry, path, expected, status, digest if len(data) == size else None)
    if entry.digest is not None:
        _check_digest(entry, path, digest)
    return data, digest


def _read_on(descriptor: int, data: bytes, size: int) -> bytes:
    """Some network file systems give less than there is."""
    while len(data) < size and (more := os.read(descriptor, size - len(data))):
        data += more
    return data


def read_large(
    entry: Entry,
    path: str,
    buffer: Callable[[], memoryview],
    add: Callable[[memoryview], None],
    opened: Opened | None = None,
) -> bytes:
    """Read the file at ``path`` piece by piece into what ``buffer`` gives, ``add`` each, and give the sha256 of all.

    Raises: ContextChangedError, UnreadableSourceError.
    """
    digest = hashlib.sha256()
    for piece in _pieces(entry, path, buffer, digest, opened):
        add(piece)
    _check_digest(entry, path, digest.digest())
    return digest.digest()


def _pieces(
    entry: Entry, path: str, buffer: Callable[[], memoryview], digest: hashlib._Hash, opened: Opened | None
) -> Iterator[memoryview]:
    left = entry.size
    with _opened(path) as descriptor, open(descriptor, "rb", buffering=0, closefd=False) as file:
        if opened is not None:
            opened(descriptor)
        status = os.fstat(descriptor)
        expected = entry.identity or identity_of(status)
        read = int(status.st_size == entry.size and stat.S_ISREG(status.st_mode))
        while left and read:
            piece = buffer()[:left]
            read = file.readinto(piece)
            left -= read
            yield piece[:read]
            digest.update(piece[:read])
        status = os.fstat(descriptor)
    if left or identity_of(status) != expected:
        _check_again(entry, path, expected, status, None if left else digest.digest())


@contextmanager
def _opened(path: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _translate(error, path) from error


def _check_again(entry: Entry, path: str, expected: FileIdentity, found: os.stat_result, digest: bytes | None) -> None:
    """Refuse a file that is not what it was, unless its ctime alone says so and a second look finds the same content.

    Another name or mode changes the ctime as well. ``digest`` is of what was read, None where that was not all.
    """
    size, mtime_ns, _, inode, device = identity_of(found)
    alike = (size, mtime_ns, inode, device) == (expected[0], expected[1], expected[3], expected[4])
    if not alike or not stat.S_ISREG(found.st_mode) or digest is None or digest != _digest_now(path):
        raise _changed(path, entry, expected, found)


def _digest_now(path: str) -> bytes:
    with _opened(path) as descriptor, open(descriptor, "rb", buffering=0, closefd=False) as file:
        return hashlib.file_digest(file, "sha256").digest()


def _check_digest(entry: Entry, path: str, digest: bytes) -> None:
    if entry.digest is not None and entry.digest != digest:
        raise ContextChangedError(f"{path!r} changed while it was copied: its content is not what it was", hint=_AGAIN)


_AGAIN = "let nothing write there during a build, and build again"


def _changed(path: str, entry: Entry, expected: FileIdentity, found: os.stat_result) -> ContextChangedError:
    if not stat.S_ISREG(found.st_mode):
        how = "it is no regular file any more"
    elif (found.st_ino, found.st_dev) != expected[3:]:
        how = "it was replaced"
    elif found.st_size != entry.size:
        how = f"it {'grew' if found.st_size > entry.size else 'shrank'} from {entry.size} to {found.st_size} bytes"
    else:
        how = "it was written to"
    return ContextChangedError(f"{path!r} changed while it was copied: {how}", hint=_AGAIN)


def _translate(error: OSError, path: str) -> ContextChangedError | UnreadableSourceError:
    how = _REPLACED.get(error.errno or 0)
    if how is not None:
        return ContextChangedError(f"{path!r} changed while it was copied: {how}", hint=_AGAIN)
    return UnreadableSourceError(f"cannot read {path!r}: {error.strerror}", hint=reading_hint(error))


def reading_hint(error: OSError) -> str:
    """Say what helps where a source cannot be read."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many files are open; raise the limit with ulimit -n"
    if error.errno == errno.EIO:
        return "the disk or its driver failed; look at dmesg"
    return "make it readable, or leave it out with .kubeignore"
