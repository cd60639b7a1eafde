"""Reading a file's content for its digest, and noticing if it is not the file that was looked at."""

from __future__ import annotations

import errno
import hashlib
import os
import stat

from kubeimage.errors import ContextChangedError, ContextError, UnreadableSourceError
from kubeimage.layer.entry import FileIdentity, identity_of

_BUFFER_SIZE = 256 * 1024
# A file that became a pipe must not block, and one that became a symlink must not be followed.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


def changed(path: str) -> ContextChangedError:
    """Make the error for a file that is not what it was a moment ago."""
    return ContextChangedError(
        f"{path!r} changed while it was read", hint="build again when nothing writes to the build context"
    )


def unreadable(path: str, error: OSError) -> ContextError:
    """Translate what the system says about ``path``, which was there when it was looked at."""
    from kubeimage.layer.content import reading_hint

    if error.errno in _GONE:
        return changed(path)
    return UnreadableSourceError(f"{path!r} cannot be read: {error.strerror or error}", hint=reading_hint(error))


class ContentHasher:
    """Digests files, one after the other, through one buffer."""

    def __init__(self) -> None:
        self._buffer: memoryview | None = None

    def digest(self, path: str, identity: FileIdentity | None) -> bytes:
        """Return the sha256 of the content of the file at ``path``, which must be the one of ``identity`` throughout.

        Another name or another mode changes the ctime and not the content: then a second look must find the same.
        Raises: ContextChangedError, UnreadableSourceError.
        """
        before, content, after = self._read(path)
        expected = before if identity is None else identity
        if before == after == expected:
            return content
        same_file = expected._replace(ctime_ns=0) == before._replace(ctime_ns=0) == after._replace(ctime_ns=0)
        if not same_file or self._read(path)[1] != content:
            raise changed(path)
        return content

    def _read(self, path: str) -> tuple[FileIdentity, bytes, FileIdentity]:
        """Read the whole file, and say what it was before and after."""
        try:
            descriptor = os.open(path, _FLAGS)
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise changed(path)
                count, content = self._digest_open(descriptor, status.st_size)
                after = os.fstat(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise unreadable(path, error) from error
        if count != status.st_size:
            raise changed(path)
        return identity_of(status), content, identity_of(after)

    def _digest_open(self, descriptor: int, size: int) -> tuple[int, bytes]:
        """Return how many bytes there were, and their sha256."""
        if size >= _BUFFER_SIZE:
            return self._digest_large(descriptor)
        # One byte more than there should be, so that growth is seen as well as the end.
        data = os.read(descriptor, size + 1)
        # Some network file systems give less than there is.
        while len(data) < size and (more := os.read(descriptor, size + 1 - len(data))):
            data += more
        return len(data), hashlib.sha256(data).digest()

    def _digest_large(self, descriptor: int) -> tuple[int, bytes]:
        if self._buffer is None:
            self._buffer = memoryview(bytearray(_BUFFER_SIZE))
        content = hashlib.sha256()
        total = 0
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as stream:
            while count := stream.readinto(self._buffer):
                content.update(self._buffer[:count])
                total += count
        return total, content.digest()
