"""From the blobs to images: read, checked, and held while somebody works with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubeimage.errors import BlobCorruptError, BlobNotFoundError
from kubeimage.image.canonical import JsonObject
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.store import index, manifests
from kubeimage.store.blobs import REBUILD, Blobs
from kubeimage.store.layout import Layout
from kubeimage.store.variants import Variants


class ImageReader:
    """Reads images and finds their manifests; in a working session nobody removes an image that was read."""

    def __init__(self, layout: Layout, blobs: Blobs, variants: Variants, *, working: bool) -> None:
        self._layout = layout
        self._blobs = blobs
        self._variants = variants
        self._working = working

    def read(self, descriptor: Descriptor) -> Image:
        """Read an image. In a working session its layers are checked too, and nobody removes any of it meanwhile.

        Raises: BlobNotFoundError, BlobCorruptError, LayerError; StoreError for what is no image.
        """
        if not self._working:
            return manifests.read_image(self._blobs, self._variants, descriptor)
        self._blobs.hold([descriptor.digest])
        manifest = manifests.read_manifest(self._blobs, descriptor)
        self._blobs.hold([manifest.config.digest, *(layer.digest for layer in manifest.layers)])
        image = manifests.read_image(self._blobs, self._variants, descriptor)
        self._blobs.hold(layer.diff_id for layer in image.layers)
        self.check_layers(image)
        from kubeimage.store.uses import note_use

        note_use(self._layout, descriptor.digest)
        return image

    def check_layers(self, image: Image) -> None:
        """Make sure that the blob of every layer is there and whole.

        Raises: BlobNotFoundError, BlobCorruptError.
        """
        for layer in image.layers:
            self._check_layer(layer.descriptor.digest, layer.descriptor.size)

    def _check_layer(self, digest: Digest, size: int) -> None:
        if not self._blobs.is_sound(digest, size):
            found = self._blobs.size(digest)
            what = f"has {found} bytes where {size} are recorded" if found != size else "is damaged"
            raise BlobCorruptError(f"the layer {digest} {what}", hint=REBUILD)

    def iter_manifests(self, entries: Iterable[JsonObject]) -> Iterator[Descriptor]:
        """Yield the manifests of images that entries of the index lead to.

        Raises: BlobNotFoundError, BlobCorruptError, for a damaged entry of ours as well.
        """
        for entry in entries:
            descriptor = index.image_of(entry)
            if descriptor is not None:
                yield from manifests.iter_manifests(self._blobs, descriptor, index.taken_of(entry))
            elif (what := index.problem_of(entry)) is not None:
                raise BlobCorruptError(
                    f"the list of images is damaged: {what}", hint="kubeimage fsck --repair writes the entry again"
                )

    def iter_with_ids(self, entries: Iterable[JsonObject]) -> Iterator[tuple[Descriptor, Digest]]:
        """Yield each manifest and its image id, which costs no file access where the entry says it.

        An entry that cannot be followed to its end gives no more.
        """
        for entry in entries:
            written = index.image_id_of(entry)
            try:
                for descriptor in self.iter_manifests([entry]):
                    yield descriptor, written or manifests.read_manifest(self._blobs, descriptor).config.digest
            except (BlobNotFoundError, BlobCorruptError):
                continue
