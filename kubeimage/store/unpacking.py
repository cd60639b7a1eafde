"""A compressed layer looked through while it passes: which tar it holds, found out without keeping any of it."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from kubeimage.image.digest import Digest
from kubeimage.image.media_types import Compression
from kubeimage.image.oci import Descriptor
from kubeimage.layer.compression import Readable, decompress, detect
from kubeimage.store.records import Variant

_WAITING = 2


def look_inside(blob: Readable, descriptor: Descriptor, *, most: int) -> Variant:
    """Decompress a blob and say which layer it holds.

    Units:  ``most`` in bytes of the layer's tar.
    Raises: LayerFormatError, LayerTooLargeError.
    """
    noted = _Noted(blob)
    diff_id, size = hashlib.sha256(), 0
    for piece in decompress(noted, most=most):
        diff_id.update(piece)
        size += len(piece)
    return Variant(Digest(diff_id.hexdigest()), size, descriptor.digest, descriptor.size, noted.kind)


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
        self._found: Variant | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="layer inspection", daemon=True)
        self._thread.start()

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
        """Say which layer it was.

        Raises: LayerFormatError, LayerTooLargeError.
        """
        self._end()
        if self._error is not None:
            raise self._error
        assert self._found is not None
        return self._found

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
