"""A store of images in front of another one: what it is not about, it passes on."""

from __future__ import annotations

from collections.abc import Sequence

from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.protocols.images import ImageRecord, ImageStore


class PassingImageStore:
    """An `ImageStore` that asks another one for everything; a kind of it does otherwise what it is about."""

    def __init__(self, store: ImageStore) -> None:
        self.store: ImageStore = store

    def put(self, image: Image, references: Sequence[Reference] = ()) -> Digest:
        """Keep an image, and name it."""
        return self.store.put(image, references)

    def put_index(self, images: Sequence[Image], references: Sequence[Reference] = ()) -> Digest:
        """Keep images for several platforms as one."""
        return self.store.put_index(images, references)

    def get(self, reference: Reference, platform: Platform | None = None) -> Image | None:
        """Return the image of that name."""
        return self.store.get(reference, platform)

    def find(self, image_id: str) -> Image | None:
        """Return the image whose id begins so."""
        return self.store.find(image_id)

    def records(self, reference: Reference | None = None) -> list[ImageRecord]:
        """Return every name and platform, or those of one name."""
        return self.store.records(reference)

    def tag(self, source: Reference, target: Reference) -> None:
        """Add another name to an image."""
        self.store.tag(source, target)

    def remove(self, reference: Reference, platform: Platform | None = None) -> list[Digest]:
        """Take a name away."""
        return self.store.remove(reference, platform)


__all__ = ["PassingImageStore"]
