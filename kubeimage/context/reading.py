"""Reading a file's content for its digest, and noticing if it is not the file that was looked at."""

from __future__ import annotations

import errno
import hashlib
import os
import stat

from kubeimage.errors import ContextChangedError, ContextError, UnreadableSourceError
from kubeimage.layer.entry import FileIdentity

_BUFFER_SIZE = 256 * 1024
# A file that became a pipe must not block, and one that became a symlink must not be followed.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


def identity_of(status: os.stat_result) -> FileIdentity:
    """Give what tells this file from any other, and from itself after a change."""
    # As FileIdentity(…) does it, in half the time.
    return tuple.__new__(
        FileIdentity, (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
    )


def changed(path: str) -> ContextChangedError:
    """Make the error for a file that is not what it was a moment ago."""
    return ContextChangedError(
        f"{path!r} changed while it was read", hint="build again when nothing writes to the build context"
    )


def unreadable(path: str, error: OSError) -> ContextError:
    """Translate what the system says about ``path``, which was there when it was looked at."""
    if error.errno in _GONE:
        return changed(path)
    return UnreadableSourceError(
        f"{path!r} cannot be read: {error.strerror or error}",
        hint="make it readable, or leave it out with a .kubeignore",
    )


class ContentHasher:
    """Digests files, one after the other, through one buffer."""

    def __init__(self) -> None:
        self._buffer: memoryview | None = None

    def digest(self, path: str, identity: FileIdentity | None) -> bytes:
        """Give the sha256 of the content of the file at ``path``, which must be the one of ``identity`` throughout.

        Raises: ContextChangedError, UnreadableSourceError.
        """
        try:
            descriptor = os.open(path, _FLAGS)
            try:
                return self._digest_open(descriptor, path, identity)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise unreadable(path, error) from error

    def _digest_open(self, descriptor: int, path: str, identity: FileIdentity | None) -> bytes:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode) or identity not in {None, identity_of(before)}:
            raise changed(path)
        content = hashlib.sha256()
        if before.st_size < _BUFFER_SIZE:
            # One byte more than there should be, so that growth is seen as well as the end.
            data = os.read(descriptor, before.st_size + 1)
            content.update(data)
            count = len(data)
        else:
            count = self._digest_large(descriptor, content)
        if count != before.st_size or identity_of(os.fstat(descriptor)) != identity_of(before):
            raise changed(path)
        return content.digest()

    def _digest_large(self, descriptor: int, content: hashlib._Hash) -> int:
        if self._buffer is None:
            self._buffer = memoryview(bytearray(_BUFFER_SIZE))
        total = 0
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as stream:
            while count := stream.readinto(self._buffer):
                content.update(self._buffer[:count])
                total += count
        return total
