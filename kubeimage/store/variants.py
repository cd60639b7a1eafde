"""The layers of a store that are compressed, and what is known of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from kubeimage.disk.folders import make_private
from kubeimage.disk.lastuse import note_use
from kubeimage.errors import BlobCorruptError, StoreError
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer
from kubeimage.image.media_types import compression_of, is_layer, layer_type
from kubeimage.image.oci import Descriptor
from kubeimage.store.blobs import REBUILD, Blobs
from kubeimage.store.failures import translated
from kubeimage.store.files import write_new_file
from kubeimage.store.layout import Layout
from kubeimage.store.records import Variant, iter_pairs, read_record, record_path, record_to_json
from kubeimage.store.session import Session


class Variants:
    """The records of a store, for one session."""

    def __init__(self, layout: Layout, session: Session, blobs: Blobs, *, working: bool) -> None:
        self._layout = layout
        self._session = session
        self._blobs = blobs
        self._working = working

    def of(self, diff_id: Digest) -> list[Variant]:
        """Return the recorded forms of a layer, whether their blobs are there or not."""
        return self._read_all(pair for pair in iter_pairs(self._layout) if pair[0] == diff_id)

    def sound(self, diff_id: Digest) -> list[Variant]:
        """Return the recorded forms of a layer whose blobs are there and whole; they are kept meanwhile."""
        found = self.of(diff_id)
        self._blobs.hold(variant.blob for variant in found)
        return [variant for variant in found if self._blobs.is_sound(variant.blob, variant.blob_size)]

    def in_blob(self, blob: Digest) -> Variant | None:
        """Return what is recorded about a blob."""
        found = self._read_all(pair for pair in iter_pairs(self._layout) if pair[1] == blob)
        return found[0] if found else None

    def note_use(self, variant: Variant) -> None:
        """Note that a layer was used in another form than an image names, so that it is kept for a while."""
        if self._working:
            note_use(record_path(self._layout, variant.diff_id, variant.blob))

    def add(self, variant: Variant) -> None:
        """Record a variant.

        Raises: StoreFullError, StoreAccessError.
        """
        path = record_path(self._layout, variant.diff_id, variant.blob)
        if read_record(path) == variant:
            return
        written = self._session.new_path()
        write_new_file(written, canonical.encode(record_to_json(variant)), durable=False)
        with translated("write", path):
            make_private(self._layout.variants)
            os.replace(written, path)

    def layer_in(self, descriptor: Descriptor) -> Layer:
        """Return the layer that a manifest's descriptor means; what is not recorded is found out and recorded.

        Raises: StoreError where it is no layer; BlobNotFoundError, BlobCorruptError, LayerError.
        """
        if not is_layer(descriptor.media_type):
            raise StoreError(f"{descriptor.digest} is no layer of an image: its type is {descriptor.media_type!r}")
        if compression_of(descriptor.media_type) == "none":
            return Layer(descriptor.digest, descriptor.size)
        variant = self.in_blob(descriptor.digest) or self._learn(descriptor)
        if variant.kind == "none":
            return Layer(variant.diff_id, variant.size)
        blob = Descriptor(layer_type(variant.kind), descriptor.digest, descriptor.size, descriptor.annotations)
        return Layer(variant.diff_id, variant.size, blob=blob)

    def _learn(self, descriptor: Descriptor) -> Variant:
        from kubeimage.protocols.transfer import Budget
        from kubeimage.store.unpacking import look_inside

        if not self._blobs.is_sound(descriptor.digest, descriptor.size):
            self._blobs.size(descriptor.digest)
            raise BlobCorruptError(f"the blob {descriptor.digest} is damaged", hint=REBUILD)
        with self._blobs.open(descriptor.digest) as blob:
            variant = look_inside(blob, descriptor, most=Budget().of_layer(descriptor.size)).variant
        if self._working:
            with suppress(StoreError):
                self.add(variant)
        return variant

    def _read_all(self, pairs: Iterable[tuple[Digest, Digest]]) -> list[Variant]:
        paths = [record_path(self._layout, *pair) for pair in pairs]
        return [variant for variant in map(read_record, paths) if variant is not None]
