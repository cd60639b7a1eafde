"""What the executor asks of the packer of container images."""

from __future__ import annotations

from typing import Protocol

from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.layer.stack import StackedLayer
from kubeimage.protocols.layers import StoredLayer
from kubeimage.values import dataclass


@dataclass(frozen=True)
class PackRequest:
    """What a build has made, whose container images are to be packed.

    Shape: ``base`` are the layers below ``made``; without ``keep_base`` they do not belong to the image.
    Units: ``mtime`` in seconds since 1970.
    """

    base: tuple[Digest, ...]
    made: tuple[StackedLayer, ...]
    platform: Platform
    mtime: int = 0
    use_cache: bool = True
    keep_base: bool = True


@dataclass(frozen=True)
class Packed:
    """What has become of the container images that an application names.

    Shape: ``layer`` is None where there is nothing to add. ``images`` are the names of those that are packed.
           ``skipped`` says how many texts read as names and are not packed.
           ``left_out`` says how many are named and stay outside, ``charts`` how many charts were not even looked into.
    """

    layer: StoredLayer | None = None
    images: tuple[str, ...] = ()
    cached: bool = False
    left_out: int = 0
    charts: int = 0
    warnings: tuple[str, ...] = ()
    skipped: int = 0


class ImagePacker(Protocol):
    """Packs the container images that new layers name into one trailing layer."""

    def pack(self, request: PackRequest) -> Packed:
        """Find the images, fetch what is not there, and make the layer.

        Raises: DiscoveryError, PackingError; RegistryError, CredentialsError; StoreError.
        """
        ...
