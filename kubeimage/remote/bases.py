"""Base images that stay in their registry: a layer of theirs is fetched when something asks for what is in it.

So the image of a project of which every step is known goes from registry to registry, its base as well.
"""

from __future__ import annotations

from collections.abc import Callable

from kubeimage.errors import KubeimageError
from kubeimage.image import canonical
from kubeimage.image.config import Image, read_diff_ids
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.protocols.images import ImageStore
from kubeimage.registry.registries import Registries
from kubeimage.remote.layers import RemoteLayers
from kubeimage.remote.reader import Notice
from kubeimage.remote.record import RemoteLayer
from kubeimage.remote.shelf import RegistryShelf
from kubeimage.sources.choosing import choose_from
from kubeimage.sources.opened import open_manifest
from kubeimage.sources.remote import RegistrySource
from kubeimage.store.passing import PassingImageStore

Fetch = Callable[[Reference, Platform], object]


class AwayBase:
    """A base image in its registry: it gives layers, until one cannot be had."""

    def __init__(self, image: Image, shelf: RegistryShelf, notice: Notice) -> None:
        self.image = image
        self.shelf = shelf
        self.is_lost = False
        self._notice = notice

    def layer_is_lost(self, layer: RemoteLayer, why: str) -> None:
        """Say that a layer cannot be had."""
        self.is_lost = True
        self._notice(f"the base image in {self.shelf.name} is fetched whole: the layer {layer.diff_id}: {why}")


class AwayBases(PassingImageStore):
    """A store of images that knows what a base consists of before its layers are here.

    Shape: ``whole`` fetches an image with all its layers.
    """

    def __init__(
        self, images: ImageStore, whole: Fetch, registries: Registries, remote: RemoteLayers, notice: Notice
    ) -> None:
        super().__init__(images)
        self._whole = whole
        self._registries = registries
        self._remote = remote
        self._notice = notice
        self._found: dict[tuple[Reference, Platform], AwayBase] = {}

    @property
    def are_used(self) -> bool:
        """Whether any base stays in its registry."""
        return bool(self._found)

    def fetch(self, reference: Reference, platform: Platform) -> None:
        """Find out what an image consists of; one that cannot stay where it is comes here.

        Raises: what fetching the whole image raises.
        """
        try:
            base = self._look(reference, platform)
        except KubeimageError:
            # Fetching it says what is wrong.
            base = None
        if base is None:
            self._whole(reference, platform)
        else:
            self._found[reference, platform] = base

    def get(self, reference: Reference, platform: Platform | None = None) -> Image | None:
        """Return the image of that name: what its registry says of it, else what the store does."""
        base = self._found.get((reference, platform)) if platform is not None else None
        return base.image if base is not None else super().get(reference, platform)

    def give_up(self) -> None:
        """Fetch the bases whole of which a layer could not be had.

        Raises: what fetching them raises.
        """
        for (reference, platform), base in self._found.items():
            if base.is_lost:
                self._whole(reference, platform)

    def _look(self, reference: Reference, platform: Platform) -> AwayBase | None:
        source = RegistrySource(reference, self._registries)
        top = source.read_top()
        data, manifest = choose_from(top, source, platform)
        if reference.digest not in (None, Digest.of(data)):
            # A lock compares the index's digest, which only the store remembers.
            return None
        if read_diff_ids(canonical.decode(source.read_document(manifest.config))) is None:
            # The config of sealer's images does not say what their layers are.
            return None
        image = open_manifest(source, top, data, manifest).image
        if all(self._remote.is_here(layer.diff_id) for layer in image.layers):
            return None
        base = AwayBase(image, RegistryShelf(source.place), self._notice)
        self._remote.promise((RemoteLayer(one.diff_id, None, one.descriptor) for one in image.layers), base)
        return base


__all__ = ["AwayBase", "AwayBases"]
