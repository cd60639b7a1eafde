"""Layers' tars as blobs of the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from kubeimage.errors import BlobCorruptError, StoreError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry
from kubeimage.protocols import StoredLayer
from kubeimage.store.blobs import Blobs, NewBlob, hash_file

_PIECE = 1 << 20


class DirectoryLayerStore:
    """Keeps layers in ``blobs/sha256``; what it is asked for in a working session, nobody removes meanwhile."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def put(self, changeset: Sequence[Entry]) -> StoredLayer:
        """Write ``changeset`` as a canonical tar.

        Raises: StoreFullError, StoreAccessError; ContextError where a source changed or cannot be read.
        """
        from kubeimage.layer.writer import write_layer

        with self._blobs.writing() as blob:
            written = write_layer(changeset, blob.write)
            self._blobs.publish(blob, written.diff_id, written.size)
        return StoredLayer(written.diff_id, written.size, written.digests)

    def add(self, tar: BinaryIO, *, diff_id: Digest | None = None) -> StoredLayer:
        """Keep an existing tar, byte for byte, once its digest and all its entries are found good.

        Raises: BlobCorruptError, LayerFormatError, PathEscapeError, LayerTooLargeError, StoreFullError.
        """
        with self._blobs.writing() as blob:
            size = _copy(tar, blob)
            with open(blob.path, "rb") as written:
                found = hash_file(written)
                if diff_id is not None and found != diff_id:
                    raise BlobCorruptError(
                        f"the layer {diff_id} was asked for, but the tar is {found}", hint="get the layer again"
                    )
                _check_entries(written)
            self._blobs.publish(blob, found, size)
        return StoredLayer(found, size)

    def has(self, diff_id: Digest) -> bool:
        """Whether the layer is there, whole and undamaged; its bytes are read only if they may have changed."""
        self._blobs.hold([diff_id])
        return self._blobs.is_sound(diff_id)

    def size(self, diff_id: Digest) -> int:
        """The tar's size in bytes.

        Raises: BlobNotFoundError.
        """
        return self._blobs.size(diff_id)

    def open(self, diff_id: Digest) -> BinaryIO:
        """Open the tar for reading; it can seek.

        Raises: BlobNotFoundError.
        """
        return self._blobs.open(diff_id)

    def entries(self, diff_id: Digest) -> Iterator[Entry]:
        """Read the entries from the tar's headers, in its order.

        Raises: BlobNotFoundError, LayerFormatError, when the first entry is asked for.
        """
        from kubeimage.layer.reader import iter_entries

        with self._blobs.open(diff_id) as tar:
            yield from iter_entries(tar)


def _copy(tar: BinaryIO, blob: NewBlob) -> int:
    size = 0
    while piece := _read(tar):
        blob.write(piece)
        size += len(piece)
    return size


def _read(tar: BinaryIO) -> bytes:
    try:
        return tar.read(_PIECE)
    except OSError as error:
        raise StoreError(f"cannot read the layer's tar: {error.strerror or error}") from error


def _check_entries(tar: BinaryIO) -> None:
    from kubeimage.layer.reader import iter_entries

    tar.seek(0)
    for _ in iter_entries(tar):
        pass
