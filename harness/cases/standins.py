"""Base images that come from somewhere else than the store a build works in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kubeimage.api.backends import Backends
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.protocols.images import ImageRecord, ImageStore

Lookup = Callable[[Reference, Platform | None], Image | None]


@dataclass(frozen=True)
class StandInImageStore:
    """An image store that asks ``stand_in`` first, and passes everything else on.

    So a stand-in needs no name in the store, and never takes one away from a real image.
    """

    store: ImageStore
    stand_in: Lookup

    def get(self, reference: Reference, platform: Platform | None = None) -> Image | None:
        """Return the stand-in for that name, else the store's image."""
        return self.stand_in(reference, platform) or self.store.get(reference, platform)

    def put(self, image: Image, references: Sequence[Reference] = ()) -> Digest:
        """Keep ``image`` in the store."""
        return self.store.put(image, references)

    def put_index(self, images: Sequence[Image], references: Sequence[Reference] = ()) -> Digest:
        """Keep ``images`` in the store as one."""
        return self.store.put_index(images, references)

    def find(self, image_id: str) -> Image | None:
        """Find an image of the store."""
        return self.store.find(image_id)

    def records(self, reference: Reference | None = None) -> list[ImageRecord]:
        """Return the store's records."""
        return self.store.records(reference)

    def tag(self, source: Reference, target: Reference) -> None:
        """Add another name to an image of the store."""
        self.store.tag(source, target)

    def remove(self, reference: Reference, platform: Platform | None = None) -> list[Digest]:
        """Take a name away from an image of the store."""
        return self.store.remove(reference, platform)


def import_image(image: Image, source: Backends, target: Backends) -> None:
    """Bring ``image`` with its layers from one store into another, without a name.

    Raises: StoreError.
    """
    for layer in image.layers:
        if not target.layers.has(layer.diff_id):
            with source.layers.open(layer.diff_id) as tar:
                target.layers.add(tar, diff_id=layer.diff_id)
    target.images.put(image)
