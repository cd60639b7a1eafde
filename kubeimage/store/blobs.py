"""Blobs: immutable files under their digests, trusted by a mark.

A blob whose modification time is exactly 0 has been hashed and is on the disk: only then is the mark set. So whoever
changes a byte takes the mark off, and a blob without it is hashed before it is trusted. That makes the order of things
simple: a blob gets its name as soon as it is whole, and survives the death of the process; the disk is waited for once,
for all new blobs together, when an image is committed. What a power cut spoils before that has no mark.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, takewhile
from typing import BinaryIO

from kubeimage.disk.threads import can_begin
from kubeimage.errors import BlobCorruptError, BlobNotFoundError, LayerError, RegistryContentError, StoreError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import LARGEST_DOCUMENT
from kubeimage.store import locks, partial
from kubeimage.store.failures import store_error, translated
from kubeimage.store.files import NEW_FILE, sync_directory, write_all
from kubeimage.store.layout import Layout
from kubeimage.store.session import Session

REBUILD = "run kubeimage fsck --repair, then build or load the image again"

_CHUNK = 1 << 20
_WRITE_OUT_EVERY = 8 << 20
_AT_RISK = 2.0
_GO_ON = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_SYNC_THREADS = 4
_LOOKS = 3
_MARK = (0, 0)


class NewBlob:
    """A file in the session's folder that is to become a blob."""

    def __init__(self, path: str, *, kept: int = 0) -> None:
        """Make a file, or with ``kept`` bytes go on with one that has so many."""
        self.path = path
        with translated("write", path):
            self.descriptor = os.open(path, _GO_ON if kept else NEW_FILE, 0o600)
        self._size = self._flushed = 0
        self._kept = kept

    def note_written(self, size: int) -> None:
        """Hear that others have written the first ``size`` bytes through the descriptor."""
        self._size = size
        if size - self._flushed >= _WRITE_OUT_EVERY:
            self._start_writing_out()

    def read_kept(self) -> Iterator[bytes]:
        """Yield what the file had from the beginning.

        Raises: StoreAccessError.
        """
        with translated("read", self.path), open(self.path, "rb") as stream:
            left = self._kept
            while left and (piece := stream.read(min(_CHUNK, left))):
                left -= len(piece)
                yield piece

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``; what the file had from the beginning comes first, and is not written again.

        Raises: StoreFullError, StoreAccessError.
        """
        new = max(self._size + len(data) - max(self._kept, self._size), 0)
        with translated("write", self.path):
            write_all(self.descriptor, memoryview(data)[len(data) - new :])
        self.note_written(self._size + len(data))

    def close(self) -> None:
        """Close the file.

        Raises: StoreFullError, StoreAccessError.
        """
        descriptor, self.descriptor = self.descriptor, -1
        with translated("write", self.path):
            os.close(descriptor)
            os.chmod(self.path, 0o444)

    def discard(self) -> None:
        """Close and remove the file."""
        if self.descriptor >= 0:
            with suppress(OSError):
                os.close(self.descriptor)
        with suppress(OSError):
            os.unlink(self.path)

    def _start_writing_out(self) -> None:
        """Start the disk now, so that waiting for it at the end takes less: a hint, which may do nothing."""
        with suppress(OSError):
            os.posix_fadvise(self.descriptor, self._flushed, self._size - self._flushed, os.POSIX_FADV_DONTNEED)
        self._flushed = self._size


_Identity = tuple[int, int, int, int]
"""What tells that a file is still the one that was written or hashed: inode, size, times of content and of inode."""


class Blobs:
    """The blobs of a store, for one session."""

    def __init__(self, layout: Layout, session: Session, *, hold: bool) -> None:
        self._layout = layout
        self._session = session
        self._holds = self._marks = hold
        self._pending: dict[Digest, _Identity] = {}
        self._oldest_pending = 0.0
        self._hashed: dict[Digest, _Identity] = {}

    def hold(self, digests: Iterable[Digest]) -> None:
        """Keep blobs from being collected while the session lasts, as far as the store can be written."""
        if self._holds and (self._session.name or os.path.isdir(self._layout.blobs)):
            try:
                self.hold_surely(digests)
            except StoreError:
                # A store that cannot be written can be read; who wants to write finds out at the first write.
                self._holds = False

    def hold_surely(self, digests: Iterable[Digest]) -> None:
        """Keep blobs from being collected while the session lasts.

        Raises: StoreFullError, StoreAccessError.
        """
        wanted = [digest for digest in digests if not self._session.holds(digest)]
        if wanted:
            self._session.folder()
            with locks.shared(self._layout.gc_lock):
                self._session.hold(*wanted)

    def is_sound(self, digest: Digest, size: int | None = None) -> bool:
        """Whether the blob is there, is ``size`` long, and has its mark, is new, or proves to have its digest."""
        status = self._stat(digest)
        if status is None or not stat.S_ISREG(status.st_mode) or size not in (None, status.st_size):
            return False
        known = _identity(status)
        if status.st_mtime_ns == 0 or self._pending.get(digest) == known:
            return True
        return self._hashed.get(digest) == known or self._verify(digest)

    def is_there(self, digest: Digest, size: int) -> bool:
        """Whether there is a blob of that size, whatever its bytes are."""
        status = self._stat(digest)
        return status is not None and stat.S_ISREG(status.st_mode) and status.st_size == size

    def verify(self, digest: Digest) -> None:
        """Make sure of all the blob's bytes, whatever its mark says: for who reads all of them anyway.

        A damaged one loses its mark, so that whoever can make it again does.
        Raises: BlobNotFoundError, BlobCorruptError.
        """
        status = self._stat(digest)
        if status is None:
            raise _missing(digest)
        known = digest in self._pending or self._hashed.get(digest) == _identity(status)
        if not known and not self._verify(digest):
            raise BlobCorruptError(f"the layer {digest} is damaged", hint=REBUILD)

    def size(self, digest: Digest) -> int:
        """Return the blob's size in bytes.

        Raises: BlobNotFoundError.
        """
        status = self._stat(digest)
        if status is None:
            raise _missing(digest)
        return status.st_size

    def open(self, digest: Digest) -> BinaryIO:
        """Open the blob for reading.

        Raises: BlobNotFoundError, StoreAccessError.
        """
        path = self._layout.blob(digest)
        try:
            return open(path, "rb")
        except (FileNotFoundError, NotADirectoryError):
            raise _missing(digest) from None
        except OSError as error:
            raise store_error(error, "read the blob", path) from error

    def read(self, digest: Digest, size: int) -> bytes:
        """Return the content of a small blob, verified.

        Raises: BlobNotFoundError, BlobCorruptError, StoreAccessError.
        """
        found = self.size(digest)
        if found > LARGEST_DOCUMENT:
            raise BlobCorruptError(f"the blob {digest} has {found} bytes, which no manifest or config has")
        if found != size:
            raise BlobCorruptError(f"the blob {digest} has {found} bytes where {size} are recorded", hint=REBUILD)
        with self.open(digest) as file, translated("read the blob", self._layout.blob(digest)):
            data = file.read()
        if Digest.of(data) != digest:
            raise BlobCorruptError(f"the blob {digest} is damaged: its bytes are {Digest.of(data)}", hint=REBUILD)
        return data

    @contextmanager
    def writing(self) -> Iterator[NewBlob]:
        """Yield a new file to write; it is gone afterwards unless it was published.

        Raises: StoreFullError, StoreAccessError.
        """
        blob = NewBlob(self._session.new_path())
        try:
            yield blob
        except BaseException:
            blob.discard()
            raise

    @contextmanager
    def receiving(
        self, digest: Digest, size: int, chunks: Iterable[bytes]
    ) -> Iterator[tuple[NewBlob, Iterable[bytes]]]:
        """Yield a new file for a blob, and all bytes to write; what was fetched of it before need not come again.

        What ``chunks`` cannot bring to an end is kept for the next who wants it, if it is `Resumable`.
        Raises: StoreFullError, StoreAccessError.
        """
        from kubeimage.protocols.transfer import Resumable

        if not isinstance(chunks, Resumable):
            with self.writing() as blob:
                yield blob, chunks
            return
        path = partial.unfinished_path(self._session.new_path(), digest)
        kept = partial.claim(self._layout, digest, size, path)
        blob = NewBlob(path, kept=kept)
        try:
            chunks.start_at(kept)
            yield blob, chain(blob.read_kept(), chunks)
        except (StoreError, LayerError, RegistryContentError):
            blob.discard()
            raise
        except BaseException:
            partial.keep(self._layout, digest, path)
            blob.discard()
            raise

    def publish(self, blob: NewBlob, digest: Digest, size: int) -> None:
        """Move the written file to its name. A blob that is there and has its mark stays; another one is replaced.

        Raises: StoreFullError, StoreAccessError.
        """
        blob.close()
        path = self._layout.blob(digest)
        with locks.shared(self._layout.gc_lock):
            self._session.hold(digest)
            with translated("write the blob", path):
                if self._is_marked(digest, size):
                    os.unlink(blob.path)
                    return
                os.rename(blob.path, path)
                published = os.lstat(path)
        self._add_pending(digest, _identity(published))

    def put(self, data: bytes) -> Digest:
        """Keep a small blob.

        Raises: StoreFullError, StoreAccessError.
        """
        digest = Digest.of(data)
        self.hold_surely([digest])
        if not self.is_sound(digest, len(data)):
            with self.writing() as blob:
                blob.write(data)
                self.publish(blob, digest, len(data))
        return digest

    def sync(self) -> None:
        """Wait until all blobs of this session are on the disk, and mark those that nobody wrote to since.

        Raises: StoreFullError, StoreAccessError; BlobNotFoundError for one that somebody removed.
        """
        if not self._pending:
            return
        pending, self._pending = list(self._pending.items()), {}
        for first in range(0, len(pending), 64):
            self._sync(pending[first : first + 64])
        if self._layout.durable:
            sync_directory(self._layout.blobs)

    def forget(self, digests: Iterable[Digest]) -> None:
        """Take note that blobs were removed."""
        for digest in digests:
            self._pending.pop(digest, None)
            self._hashed.pop(digest, None)

    def _add_pending(self, digest: Digest, identity: _Identity) -> None:
        """Remember to wait for the disk; work that took long does not wait for the image to be committed."""
        now = time.monotonic()
        if not self._pending:
            self._oldest_pending = now
        self._pending[digest] = identity
        if now - self._oldest_pending > _AT_RISK:
            self.sync()

    def _sync(self, pending: list[tuple[Digest, _Identity]]) -> None:
        with translated("write out the blobs in", self._layout.blobs), ExitStack() as opened:
            descriptors = []
            for digest, _ in pending:
                descriptors.append(self._open_descriptor(digest))
                opened.callback(os.close, descriptors[-1])
            if self._layout.durable:
                _sync_all(descriptors)
            for descriptor, (_, written) in zip(descriptors, pending, strict=True):
                if _identity(os.fstat(descriptor)) == written:
                    _mark(descriptor)

    def _open_descriptor(self, digest: Digest) -> int:
        try:
            return os.open(self._layout.blob(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise _missing(digest) from None

    def _is_marked(self, digest: Digest, size: int) -> bool:
        status = self._stat(digest)
        return status is not None and (status.st_mtime_ns, status.st_size) == (0, size)

    def _stat(self, digest: Digest) -> os.stat_result | None:
        try:
            return os.lstat(self._layout.blob(digest))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise store_error(error, "look at the blob", self._layout.blob(digest)) from error

    def _verify(self, digest: Digest) -> bool:
        """Hash a blob; mark it if it is good, and take the mark off if it is not."""
        with self.open(digest) as file, translated("read the blob", self._layout.blob(digest)):
            found, status = _hash_at_rest(file)
            good = found == digest
            if self._marks:
                with suppress(OSError):
                    _mark_again(file.fileno(), status, good=good)
            if good:
                self._hashed[digest] = _identity(os.fstat(file.fileno()))
        return good


def _hash_at_rest(file: BinaryIO) -> tuple[Digest | None, os.stat_result]:
    """Digest a file while nobody changes it, and return its status then; None for one that is never at rest.

    Another session may mark it meanwhile, and that is a change like any other: so one look is not enough.
    """
    for _ in range(_LOOKS):
        file.seek(0)
        before = os.fstat(file.fileno())
        found = hash_file(file)
        after = os.fstat(file.fileno())
        if _identity(before) == _identity(after):
            return found, after
    return None, after


def _mark(descriptor: int) -> None:
    """Set the mark; where the file is another user's, it stays one that is hashed each time it is needed."""
    with suppress(PermissionError):
        os.utime(descriptor, ns=_MARK)


def _mark_again(descriptor: int, status: os.stat_result, *, good: bool) -> None:
    """Set or take off the mark of a file that was hashed, if it needs that."""
    if good and status.st_mtime_ns:
        os.fsync(descriptor)
        os.utime(descriptor, ns=_MARK)
    elif not good and not status.st_mtime_ns:
        os.utime(descriptor)


def hash_file(file: BinaryIO) -> Digest:
    """Digest all that is left of ``file``."""
    digest = hashlib.sha256()
    while piece := file.read(_CHUNK):
        digest.update(piece)
    return Digest(digest.hexdigest())


def _identity(status: os.stat_result) -> _Identity:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _missing(digest: Digest) -> BlobNotFoundError:
    return BlobNotFoundError(f"the blob {digest} is not in the store", hint=REBUILD)


def _sync_all(descriptors: list[int]) -> None:
    """Wait for all files; several waits at once share the filesystem's journal commits."""
    waiting = iter(list(descriptors))
    errors: list[OSError] = []

    def work() -> None:
        for descriptor in waiting:
            try:
                os.fsync(descriptor)
            except OSError as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(min(_SYNC_THREADS, len(descriptors)) - 1)]
    started = list(takewhile(can_begin, threads))
    work()
    for thread in started:
        thread.join()
    if errors:
        raise errors[0]
