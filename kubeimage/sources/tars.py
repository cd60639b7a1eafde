"""A layer's blob as the tar that it holds, uncompressed as it is read; nothing is written anywhere.

Reading forward costs what is passed over. Going back begins anew. When the end is reached, the blob's digest has been
found out, and is compared.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from kubeimage.errors import BlobCorruptError
from kubeimage.image.oci import Descriptor
from kubeimage.layer.compression import decompress

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE = 1 << 20


class _Hashed:
    """A blob that is hashed while it is read from its beginning to its end."""

    def __init__(self, blob: BinaryIO) -> None:
        self._blob = blob
        self._hash = hashlib.sha256()
        self._size = 0

    def read(self, size: int, /) -> bytes:
        data = self._blob.read(size)
        self._hash.update(data)
        self._size += len(data)
        return data

    def check(self, descriptor: Descriptor) -> None:
        while self.read(_PIECE):
            pass
        if self._hash.hexdigest() != descriptor.digest.hex:
            raise BlobCorruptError(
                f"the layer {descriptor.digest} is damaged: its bytes are sha256:{self._hash.hexdigest()}",
                hint="get the image again; if it stays so, it is damaged where it lies",
            )


class LayerTar(io.RawIOBase):
    """The uncompressed tar of a layer, for reading; it can seek.

    Raises: BlobCorruptError at the end, where the bytes are not those of the digest; LayerFormatError, and whatever
            reading the blob raises.
    """

    def __init__(self, open_blob: Callable[[], BinaryIO], descriptor: Descriptor) -> None:
        self._open_blob = open_blob
        self._descriptor = descriptor
        self._blob: BinaryIO | None = None
        self._start()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """Return ``size`` bytes, fewer only at the end."""
        pieces = []
        left = size if size >= 0 else 1 << 62
        while left:
            if self._at == len(self._piece) and not self._next_piece():
                break
            taken = self._piece[self._at : self._at + left]
            self._at += len(taken)
            left -= len(taken)
            pieces.append(taken)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._position += len(data)
        return data

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_END:
            while self._skip(_PIECE):
                pass
            end = self._position
            # As a file: what follows the end can be asked for, and is nothing.
            offset += end
        elif whence == io.SEEK_CUR:
            offset += self._position
        if offset < self._position:
            self._start()
        while self._position < offset and self._skip(offset - self._position):
            pass
        return self._position

    def close(self) -> None:
        if self._blob is not None:
            self._blob.close()
            self._blob = None
        super().close()

    def _start(self) -> None:
        if self._blob is not None:
            self._blob.close()
        self._blob = self._open_blob()
        self._source = _Hashed(self._blob)
        self._pieces: Iterator[bytes] = decompress(self._source)
        self._piece = b""
        self._at = 0
        self._position = 0

    def _next_piece(self) -> bool:
        self._piece, self._at = next(self._pieces, b""), 0
        if not self._piece:
            self._source.check(self._descriptor)
        return bool(self._piece)

    def _skip(self, most: int) -> int:
        if self._at == len(self._piece) and not self._next_piece():
            return 0
        skipped = min(most, len(self._piece) - self._at)
        self._at += skipped
        self._position += skipped
        return skipped
