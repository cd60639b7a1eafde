"""A compressed layer looked through while it passes: which tar it holds, found out without keeping any of it."""

from __future__ import annotations

import hashlib
import io
import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self, cast

from kubeimage.disk.threads import begin
from kubeimage.errors import LayerError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import Compression
from kubeimage.image.oci import Descriptor
from kubeimage.layer.compression import Readable, decompress, detect
from kubeimage.store.records import Variant

_WAITING = 2


class Inside(NamedTuple):
    """What a compressed blob holds.

    Shape: ``unusable`` says why no command can use the layer, None where all can.
    """

    variant: Variant
    unusable: LayerError | None


def look_inside(blob: Readable, descriptor: Descriptor, *, most: int) -> Inside:
    """Decompress a blob, and return which layer it holds and whether that is one.

    Units:  ``most`` in bytes of the layer's tar.
    Raises: LayerFormatError for damaged compression; LayerTooLargeError past ``most``.
    """
    noted = _Noted(blob)
    tar = PassingTar(decompress(noted, most=most))
    unusable = why_unusable(cast("BinaryIO", tar))
    diff_id, size = tar.finish()
    return Inside(Variant(diff_id, size, descriptor.digest, descriptor.size, noted.kind), unusable)


def why_unusable(tar: BinaryIO) -> LayerError | None:
    """Read a layer's headers, and return what no command could do anything with, None for a good layer.

    Raises: StoreAccessError where it cannot be read.
    """
    from kubeimage.layer.reader import iter_entries

    try:
        for _ in iter_entries(tar):
            pass
    except LayerError as error:
        return error
    return None


def named(error: LayerError, layer: Digest) -> LayerError:
    """Return ``error`` with the layer that it is about."""
    return type(error)(f"the layer {layer}: {error.message}", hint=error.hint)


class PassingTar(io.RawIOBase):
    """A tar that passes once, hashed while it does: it seeks forward only, or to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._taken = 0
        self._before = 0
        self._hash = hashlib.sha256()
        self._broken: LayerError | None = None

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes: forward."""
        return True

    def tell(self) -> int:
        """Return how many bytes have passed."""
        return self._before + self._taken

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Pass over bytes up to ``offset``, or to the end, and return where that is."""
        while (whence == io.SEEK_END or self.tell() < offset) and self._fill():
            left = len(self._piece) - self._taken
            self._taken += left if whence == io.SEEK_END else min(left, offset - self.tell())
        return self.tell()

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, fewer only at the end; with -1 all that is left.

        Raises: LayerFormatError, LayerTooLargeError, as the source does.
        """
        parts: list[bytes] = []
        while size and self._fill():
            part = self._piece[self._taken : self._taken + size if size > 0 else None]
            self._taken += len(part)
            size -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def finish(self) -> tuple[Digest, int]:
        """Pass over the rest, and return the digest and size of all.

        Raises: what the source has raised, now or before.
        """
        if self._broken is not None:
            raise self._broken
        self.seek(0, io.SEEK_END)
        return Digest(self._hash.hexdigest()), self.tell()

    def _fill(self) -> bool:
        """Whether there is a byte to read; the next piece is taken where the last one is used up."""
        while self._taken == len(self._piece):
            self._before += len(self._piece)
            self._piece, self._taken = b"", 0
            try:
                self._piece = next(self._pieces)
            except StopIteration:
                return False
            except LayerError as error:
                self._broken = error
                raise
            self._hash.update(self._piece)
        return True


class _Noted:
    """A source that remembers what it is compressed with."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._head = b""

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        if len(self._head) < 4:
            self._head += data[:4]
        return data

    @property
    def kind(self) -> Compression:
        return detect(self._head)


class PassingLayer:
    """Looks inside a layer that somebody else is writing, in a thread of its own: two cores are used.

    The thread is gone when the context is left, however it is left.
    """

    def __init__(self, descriptor: Descriptor, *, most: int) -> None:
        self._descriptor = descriptor
        self._most = most
        self._pieces: queue.Queue[bytes] = queue.Queue(maxsize=_WAITING)
        self._found: Inside | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="layer inspection", daemon=True)
        begin(self._thread)

    def feed(self, piece: bytes) -> None:
        """Take the next bytes, which are not none.

        Raises: LayerFormatError, LayerTooLargeError, for anything that came before.
        """
        self._pieces.put(piece)
        if self._error is not None:
            raise self._error

    def watch(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Pass ``pieces`` on, and look at each.

        Raises: LayerFormatError, LayerTooLargeError.
        """
        for piece in pieces:
            self.feed(piece)
            yield piece

    def finish(self) -> Variant:
        """Return which layer it was.

        Raises: LayerFormatError, PathEscapeError, LayerTooLargeError for what no command could use afterwards.
        """
        self._end()
        if self._error is not None:
            raise self._error
        assert self._found is not None
        if self._found.unusable is not None:
            raise named(self._found.unusable, self._descriptor.digest)
        return self._found.variant

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._pieces.put(b"")
            self._thread.join()

    def _run(self) -> None:
        source = _Passing(self._pieces)
        try:
            self._found = look_inside(source, self._descriptor, most=self._most)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that asked for it
            self._error = error
        # Whoever feeds must never wait for room.
        source.drain()


class _Passing:
    """The pieces of a queue as something to read from; an empty one is the end."""

    def __init__(self, pieces: queue.Queue[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._taken = 0
        self._ended = False

    def read(self, size: int, /) -> bytes:
        if self._taken == len(self._piece) and not self._ended:
            self._piece, self._taken = self._pieces.get(), 0
            self._ended = not self._piece
        data = self._piece[self._taken : self._taken + size]
        self._taken += len(data)
        return data

    def drain(self) -> None:
        """Take pieces until there are no more."""
        while not self._ended:
            self._ended = not self._pieces.get()
