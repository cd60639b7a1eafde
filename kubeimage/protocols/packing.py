"""What the executor asks of the packer of container images."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from kubeimage.image.digest import Digest
from kubeimage.image.document import MAX_LAYERS
from kubeimage.image.platform import Platform
from kubeimage.layer.stack import StackedLayer
from kubeimage.layer.stored import StoredLayer
from kubeimage.values import dataclass


@dataclass(frozen=True)
class PackRequest:
    """What a build has made, whose container images are to be packed.

    Shape: ``base`` are the layers below ``made``; without ``keep_base`` they do not belong to the image.
           ``room`` is how many layers more the image may have, at least 1.
    Units: ``mtime`` in seconds since 1970.
    """

    base: tuple[Digest, ...]
    made: tuple[StackedLayer, ...]
    platform: Platform
    mtime: int = 0
    use_cache: bool = True
    keep_base: bool = True
    room: int = MAX_LAYERS


class PackedLayer(NamedTuple):
    """A layer of what is packed. Shape: ``name`` says what is in it; ``cached`` that nothing had to be made for it."""

    name: str
    layer: StoredLayer
    cached: bool = False


@dataclass(frozen=True)
class Packed:
    """What has become of the container images that an application names.

    Shape: ``layers`` come lowest first; there are none where there is nothing to add.
           ``images`` are the names of those that are packed.
           ``skipped`` says how many texts read as names and are not packed.
           ``left_out`` says how many are named and stay outside, ``charts`` how many charts were not even looked into.
    """

    layers: tuple[PackedLayer, ...] = ()
    images: tuple[str, ...] = ()
    left_out: int = 0
    charts: int = 0
    warnings: tuple[str, ...] = ()
    skipped: int = 0

    @property
    def cached(self) -> bool:
        """Whether nothing had to be made, though images are packed."""
        return bool(self.images) and all(one.cached for one in self.layers)


class ImagePacker(Protocol):
    """Packs the container images that new layers name into layers of their own."""

    def pack(self, request: PackRequest) -> Packed:
        """Find the images, fetch what is not there, and make the layers.

        Raises: DiscoveryError, PackingError; RegistryError, CredentialsError; StoreError.
        """
        ...
