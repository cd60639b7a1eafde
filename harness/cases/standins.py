"""Base images that come from somewhere else than the store a build works in."""

from __future__ import annotations

from collections.abc import Callable

from kubeimage.api.backends import Backends
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.protocols.images import ImageStore
from kubeimage.store.passing import PassingImageStore

Lookup = Callable[[Reference, Platform | None], Image | None]


class StandInImageStore(PassingImageStore):
    """An image store that asks ``stand_in`` first, and passes everything else on.

    So a stand-in needs no name in the store, and never takes one away from a real image.
    """

    def __init__(self, store: ImageStore, stand_in: Lookup) -> None:
        super().__init__(store)
        self._stand_in = stand_in

    def get(self, reference: Reference, platform: Platform | None = None) -> Image | None:
        """Return the stand-in for that name, else the store's image."""
        return self._stand_in(reference, platform) or super().get(reference, platform)


def import_image(image: Image, source: Backends, target: Backends) -> None:
    """Bring ``image`` with its layers from one store into another, without a name.

    Raises: StoreError.
    """
    for layer in image.layers:
        if not target.layers.has(layer.diff_id):
            with source.layers.open(layer.diff_id) as tar:
                target.layers.add(tar, diff_id=layer.diff_id)
    target.images.put(image)
