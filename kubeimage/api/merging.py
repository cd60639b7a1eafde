"""Merging images of a store: whole operations."""

from __future__ import annotations

from collections.abc import Sequence

from kubeimage.api.finding import find_image
from kubeimage.errors import PlatformMismatchError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.merging import merge_images
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Naming, Reference
from kubeimage.protocols.images import ImageStore
from kubeimage.values import dataclass


@dataclass(frozen=True)
class Merged:
    """What a merge has made: one image, or one for each platform.

    Shape: ``digest`` is the manifest's, or the index's.
    """

    digest: Digest
    images: tuple[Image, ...]


def merge(
    names: Sequence[str],
    references: Sequence[Reference],
    images: ImageStore,
    *,
    platform: Platform | None = None,
    created: str | None = None,
    naming: Naming | None = None,
) -> Merged:
    """Put the images called ``names`` on top of each other, the first one lowest, and name the result.

    Shape:  where all of them are for several platforms, and no ``platform`` is asked for, so is the result.
    Raises: ImageNotFoundError with near names; LayerLimitError, PlatformMismatchError; StoreError.
    """
    naming = naming or Naming()
    chosen = (platform,) if platform is not None else _common_platforms(names, images, naming)
    made = [
        merge_images([find_image(name, images, one, naming)[0] for name in names], names, created=created)
        for one in chosen
    ]
    digest = images.put(made[0], references) if len(made) == 1 else images.put_index(made, references)
    return Merged(digest, tuple(made))


def _common_platforms(names: Sequence[str], images: ImageStore, naming: Naming) -> list[Platform]:
    """Give the platforms that every image is for, in the order of the first one."""
    each = [_platforms_of(name, images, naming) for name in names]
    common = [one for one in each[0] if all(any(one.matches(other) for other in others) for others in each[1:])]
    if not common:
        told = ", ".join(
            f"{name} is for {' and '.join(map(str, there))}" for name, there in zip(names, each, strict=True)
        )
        raise PlatformMismatchError(f"the images are for no platform in common: {told}")
    return common


def _platforms_of(name: str, images: ImageStore, naming: Naming) -> list[Platform]:
    image, reference = find_image(name, images, naming=naming)
    if reference is None or reference.digest is not None:
        return [image.platform]
    return [record.platform for record in images.records() if record.reference == reference] or [image.platform]
