"""A census of the blobs: which are there and whole, what compressed ones hold, which of them are manifests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from kubeimage.errors import BlobCorruptError, BlobNotFoundError, DigestFormatError, LayerError, StoreError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import compression_of, is_layer
from kubeimage.image.oci import MEDIA_TYPE_MANIFEST, Descriptor
from kubeimage.store import manifests
from kubeimage.store.blobs import Blobs, hash_file
from kubeimage.store.failures import store_error, translated
from kubeimage.store.layout import Layout
from kubeimage.store.records import Variant
from kubeimage.store.unpacking import look_inside, named, why_unusable


class Census:
    """What is known of the blobs: which are there at any time, which are whole once they are hashed.

    Shape: ``bad`` says of each bad blob what is wrong with it; one that cannot be read has no size.
    Units: ``sizes`` in bytes.
    """

    def __init__(self, where: Layout, blobs: Blobs) -> None:
        self._layout = where
        self._blobs = blobs
        self._unpacked: set[Digest] = set()
        self._unusable: dict[Digest, LayerError | None] = {}
        self.sizes: dict[Digest, int] = {}
        self.bad: dict[Digest, str] = {}

    def iter_digests(self) -> Iterator[Digest]:
        """Yield the blobs that are there now.

        Raises: StoreAccessError.
        """
        with translated("list the blobs in", self._layout.blobs):
            names = os.listdir(self._layout.blobs)
        for name in names:
            try:
                yield Digest.parse(f"sha256:{name}")
            except DigestFormatError:
                continue

    @cached_property
    def manifests(self) -> list[Descriptor]:
        """The manifests among the blobs, as they were when this was first asked for.

        Raises: StoreAccessError.
        """
        return list(self._iter_manifests())

    def _iter_manifests(self) -> Iterator[Descriptor]:
        for digest in sorted(self.iter_digests()):
            size = self._blobs.size(digest)
            if size > manifests.LARGEST_MANIFEST:
                continue
            descriptor = Descriptor(MEDIA_TYPE_MANIFEST, digest, size)
            try:
                manifest = manifests.read_manifest(self._blobs, descriptor)
            except (BlobCorruptError, BlobNotFoundError):
                continue
            yield replace(descriptor, media_type=manifest.media_type)

    def hash_blobs(self) -> None:
        """Read every blob, and compare it with its digest.

        Raises: StoreAccessError where the blobs cannot be listed.
        """
        for digest in self.iter_digests():
            path = self._layout.blob(digest)
            try:
                with open(path, "rb") as file:
                    found = hash_file(file)
                    self.sizes[digest] = file.tell()
            except FileNotFoundError:
                continue
            except OSError as error:
                self.bad[digest] = store_error(error, "read", path).message
                continue
            if found != digest:
                self.bad[digest] = f"the blob {digest} is damaged: its bytes are {found}"

    def look_into(self, record: Variant) -> str | None:
        """Uncompress a layer, and say what is wrong with what is recorded of it; a bad blob proves nothing."""
        if record.blob not in self.sizes or record.blob in self.bad:
            return None
        descriptor = record.descriptor
        try:
            with self._blobs.open(record.blob) as file:
                found, unusable = look_inside(file, descriptor, most=record.size)
        except (LayerError, StoreError) as error:
            return error.message
        self._unusable[record.blob] = unusable
        if (found.diff_id, found.size) == (record.diff_id, record.size):
            self._unpacked.add(found.diff_id)
            return None
        return f"the blob {record.blob} holds the layer {found.diff_id}, not {record.diff_id}"

    def why_unusable(self, blob: Descriptor) -> str | None:
        """Say what in a whole layer no command can use; None for a good one, and for what is no layer.

        Raises: StoreAccessError.
        """
        if not is_layer(blob.media_type):
            return None
        if blob.digest not in self._unusable and compression_of(blob.media_type) == "none":
            with self._blobs.open(blob.digest) as tar:
                self._unusable[blob.digest] = why_unusable(tar)
        error = self._unusable.get(blob.digest)
        return named(error, blob.digest).message if error is not None else None

    def problem_with(self, blob: Descriptor) -> str | None:
        """Say what is wrong with a blob, or with what a manifest says of it."""
        if blob.digest in self.bad:
            return self.bad[blob.digest]
        size = self.sizes.get(blob.digest)
        if size is None:
            return f"the blob {blob.digest} is missing"
        return None if size == blob.size else f"the blob {blob.digest} has {size} bytes where {blob.size} are recorded"

    def whole(self) -> set[Digest]:
        """Return the blobs that are there and whole."""
        return self.sizes.keys() - self.bad.keys()

    def layers(self) -> set[Digest]:
        """Return the whole blobs, any of which may be a layer, and the layers that compressed ones hold."""
        return self.whole() | self._unpacked
