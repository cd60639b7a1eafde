"""Layers' tars as blobs of the store; a layer that came compressed is uncompressed when its tar is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from kubeimage.errors import BlobCorruptError, BlobNotFoundError, LayerError, StoreError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry
from kubeimage.layer.stored import StoredLayer
from kubeimage.store.blobs import REBUILD, Blobs, NewBlob, hash_file
from kubeimage.store.failures import translated
from kubeimage.store.files import is_of_system
from kubeimage.store.records import Variant
from kubeimage.store.session import Session
from kubeimage.store.variants import Variants

if TYPE_CHECKING:
    from kubeimage.layer.output import Sink
    from kubeimage.layer.sharing import SharedLayer
    from kubeimage.layer.splicing import Earlier, Splice

_PIECE = 1 << 20


class DirectoryLayerStore:
    """Keeps layers in ``blobs/sha256``; what it is asked for in a session that holds, nobody removes meanwhile.

    Shape: with ``keep``, a tar that had to be uncompressed becomes a blob like any other.
    """

    def __init__(self, session: Session, blobs: Blobs, variants: Variants, *, keep: bool) -> None:
        self._session = session
        self._blobs = blobs
        self._variants = variants
        self._keep = keep

    def put(
        self,
        changeset: Sequence[Entry],
        *,
        watch: Callable[[int], None] | None = None,
        earlier: Earlier | None = None,
    ) -> StoredLayer:
        """Write ``changeset`` as a canonical tar, and tell ``watch`` how many bytes are written.

        Raises: StoreFullError, StoreAccessError; ContextError where a source changed or cannot be read.
        """
        if earlier is not None and (spliced := self._splice(changeset, earlier, watch)) is not None:
            return spliced
        from kubeimage.layer import sharing

        with self._blobs.writing() as blob:
            shared = sharing.plan(changeset) if is_of_system(blob.path, blob.descriptor) else None
            written = _share(shared, blob, watch) if shared is not None else _write(changeset, blob, watch)
            self._blobs.publish(blob, written.diff_id, written.size)
        return written

    def _splice(
        self, changeset: Sequence[Entry], earlier: Earlier, watch: Callable[[int], None] | None
    ) -> StoredLayer | None:
        """Write a layer with what an earlier one has of it; None where that is not there, not good, or not much."""
        from kubeimage.layer.splicing import RottenLayerError

        splice = _plan_splice(changeset, earlier)
        self.hold(earlier.diff_id)
        if splice is None or self._variants.of(earlier.diff_id):
            return None
        try:
            with self._blobs.open(earlier.diff_id) as old, self._blobs.writing() as blob:
                if not is_of_system(blob.path, blob.descriptor):
                    blob.discard()
                    return None
                with translated("write", blob.path):
                    written = splice.write(old, blob, _telling(blob, watch))
                self._blobs.publish(blob, written.diff_id, written.size)
        except BlobNotFoundError:
            return None
        except RottenLayerError:
            # It may have rotted: then nobody is to trust its mark any more.
            with suppress(StoreError):
                self._blobs.verify(earlier.diff_id)
            return None
        return written

    def add(self, tar: BinaryIO, *, diff_id: Digest | None = None) -> StoredLayer:
        """Keep an existing tar, byte for byte, once its digest and all its entries are found good.

        Raises: BlobCorruptError, LayerFormatError, PathEscapeError, LayerTooLargeError, StoreFullError.
        """
        from kubeimage.store.unpacking import why_unusable

        with self._blobs.writing() as blob:
            size = _copy(tar, blob)
            with open(blob.path, "rb") as written:
                found = hash_file(written)
                if diff_id is not None and found != diff_id:
                    raise BlobCorruptError(
                        f"the layer {diff_id} was asked for, but the tar is {found}", hint="get the layer again"
                    )
                written.seek(0)
                if (unusable := why_unusable(written)) is not None:
                    raise unusable
            self._blobs.publish(blob, found, size)
        return StoredLayer(found, size)

    def hold(self, diff_id: Digest) -> None:
        """Keep a layer, in whichever form it is there, from being removed while the session lasts."""
        self._blobs.hold([diff_id])

    def has(self, diff_id: Digest) -> bool:
        """Whether the layer is there, whole and undamaged; its bytes are read only if they may have changed."""
        self.hold(diff_id)
        return self._blobs.is_sound(diff_id) or bool(self._variants.sound(diff_id))

    def verify(self, diff_id: Digest) -> None:
        """Make sure of all the layer's bytes, whatever marks say: for who reads all of them anyway.

        Raises: BlobNotFoundError, BlobCorruptError.
        """
        # A tar that has to be uncompressed is verified as it is.
        if self._variant_to_read(diff_id) is None:
            self._blobs.verify(diff_id)

    def size(self, diff_id: Digest) -> int:
        """The tar's size in bytes.

        Raises: BlobNotFoundError.
        """
        for variant in self._variants.of(diff_id):
            return variant.size
        return self._blobs.size(diff_id)

    def open(self, diff_id: Digest) -> BinaryIO:
        """Open the tar for reading; it can seek.

        Raises: BlobNotFoundError; BlobCorruptError, StoreFullError where it has to be uncompressed.
        """
        variant = self._variant_to_read(diff_id)
        if variant is None or not self._keep:
            return self.open_aside(diff_id)
        with self._blobs.writing() as blob:
            self._unpack(variant, blob.write)
            self._blobs.publish(blob, diff_id, variant.size)
        return self._blobs.open(diff_id)

    def open_aside(self, diff_id: Digest) -> BinaryIO:
        """Open the tar for reading, as ``open`` does, but keep nothing of what has to be uncompressed.

        Raises: BlobNotFoundError; BlobCorruptError, StoreFullError.
        """
        variant = self._variant_to_read(diff_id)
        return self._unpack_aside(variant) if variant is not None else self._blobs.open(diff_id)

    def read(self, diff_id: Digest) -> Iterator[bytes]:
        """Yield the tar's bytes from beginning to end, keeping none of them.

        Raises: BlobNotFoundError, BlobCorruptError.
        """
        variant = self._variant_to_read(diff_id)
        if variant is not None:
            yield from self._iter_unpacked(variant)
            return
        with self._blobs.open(diff_id) as file, translated("read the layer", str(diff_id)):
            yield from iter(lambda: file.read(_PIECE), b"")

    def materialise(self, diff_id: Digest) -> None:
        """Make the tar a blob, where only a compressed one is there.

        Raises: BlobNotFoundError, BlobCorruptError, StoreFullError, StoreAccessError.
        """
        self.open(diff_id).close()

    def _variant_to_read(self, diff_id: Digest) -> Variant | None:
        """Return the compressed form that the tar has to be taken from; None where the tar is there itself."""
        known = self._variants.of(diff_id)
        for one in known:
            self._variants.note_use(one)
        if not known or self._blobs.is_sound(diff_id, known[0].size):
            return None
        return next(iter(self._variants.sound(diff_id)), None)

    def _unpack(self, variant: Variant, write: Sink) -> None:
        from kubeimage.layer.output import Output

        with Output(write) as output:
            for piece in self._iter_unpacked(variant):
                output.add(piece)
            found = output.finish()
        if found != variant.diff_id.hex:
            raise BlobCorruptError(f"the blob {variant.blob} does not hold the layer {variant.diff_id}", hint=REBUILD)

    def _iter_unpacked(self, variant: Variant) -> Iterator[bytes]:
        with self._blobs.open(variant.blob) as packed, translated("read the layer in", str(variant.blob)):
            yield from iter_decompressed(packed)

    def _unpack_aside(self, variant: Variant) -> BinaryIO:
        """Uncompress into a file that has no name, and is gone when it is closed."""
        file = self._open_nameless()
        try:
            with translated("uncompress a layer into", str(file.name)):
                self._unpack(variant, file.write)
                file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def _open_nameless(self) -> BinaryIO:
        import tempfile

        try:
            path = self._session.new_path()
            with translated("write", path):
                file = open(path, "x+b")  # noqa: SIM115  it is the caller's to close
                os.unlink(path)
        except StoreError:
            # The store cannot be written; there is room for what passes elsewhere.
            return tempfile.TemporaryFile()
        return file

    def entries(self, diff_id: Digest) -> Iterator[Entry]:
        """Read the entries from the tar's headers, in its order.

        Raises: BlobNotFoundError, LayerFormatError, when the first entry is asked for.
        """
        from kubeimage.layer.reader import iter_entries

        with self.open(diff_id) as tar:
            yield from iter_entries(tar)


def iter_decompressed(file: BinaryIO) -> Iterator[bytes]:
    """Return what a blob holds uncompressed; how much that is was checked when it came in."""
    from kubeimage.layer.compression import decompress

    return decompress(file)


def _write(changeset: Sequence[Entry], blob: NewBlob, watch: Callable[[int], None] | None) -> StoredLayer:
    from kubeimage.layer.output import watched
    from kubeimage.layer.writer import write_layer

    return write_layer(changeset, blob.write if watch is None else watched(blob.write, watch))


def _share(shared: SharedLayer, blob: NewBlob, watch: Callable[[int], None] | None) -> StoredLayer:
    with translated("write", blob.path):
        return shared.write(blob, _telling(blob, watch))


def _telling(blob: NewBlob, watch: Callable[[int], None] | None) -> Callable[[int], None]:
    def tell(size: int) -> None:
        blob.note_written(size)
        if watch is not None:
            watch(size)

    return tell


def _plan_splice(changeset: Sequence[Entry], earlier: Earlier) -> Splice | None:
    from kubeimage.layer.splicing import Splice
    from kubeimage.layer.table import EntryTable, Joined

    if not isinstance(changeset, EntryTable | Joined):
        return None
    with suppress(LayerError):
        splice = Splice(changeset, earlier)
        return splice if splice.is_worth_it else None
    return None


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
