"""Merging images of a store: whole operations."""

from __future__ import annotations

from collections.abc import Sequence

from kubeimage.api.backends import Backends
from kubeimage.api.bringing import bring_image
from kubeimage.api.finding import ImageName, find_image
from kubeimage.builder.plan import rfc3339
from kubeimage.errors import PlatformMismatchError, UsageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.merging import merge_images as stack_images
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.values import dataclass


@dataclass(frozen=True)
class Merged:
    """What a merge has made: one image, or one for each platform.

    Shape: ``manifest`` is the digest of the manifest, or of the index.
    """

    manifest: Digest
    images: tuple[Image, ...]

    @property
    def digest(self) -> Digest:
        """What stands for all of it: the index's digest, or the id of the only image."""
        return self.images[0].id if len(self.images) == 1 else self.manifest


def merge_images(
    names: Sequence[ImageName],
    references: Sequence[Reference],
    backends: Backends,
    *,
    platform: Platform | None = None,
    epoch: int | None = None,
) -> Merged:
    """Put the images called ``names`` on top of each other, the first one lowest, and name the result.

    Shape:  where all of them are for several platforms, and no ``platform`` is asked for, so is the result.
    Units:  ``epoch`` is SOURCE_DATE_EPOCH in seconds: the time at which the result says it was made; None says none.
    Raises: UsageError for fewer than two images; ImageNotFoundError with near names; LayerLimitError,
            PlatformMismatchError; StoreError; TrustError where the policy of the settings refuses one.
    """
    backends.require("write")
    if len(names) < 2:
        found = f"one: {str(names[0])!r}" if names else "none"
        raise UsageError(f"merge takes two images or more, found {found}")
    for name in names if backends.trust else ():
        _check_trust(name, backends, platform)
    names = [bring_image(name, backends, platform=platform) for name in names]
    chosen = (platform,) if platform is not None else _common_platforms(names, backends)
    created = rfc3339(epoch) if epoch is not None else None
    shown = [str(name.id) if isinstance(name, Image) else str(name) for name in names]
    made = [
        stack_images([find_image(name, backends, platform=one)[0] for name in names], shown, created=created)
        for one in chosen
    ]
    images = backends.images
    digest = images.put(made[0], references) if len(made) == 1 else images.put_index(made, references)
    return Merged(digest, tuple(made))


def _check_trust(name: ImageName, backends: Backends, platform: Platform | None) -> None:
    """Hold the policy against an image of the store; one from elsewhere is judged when it is brought."""
    from kubeimage.api.trusting import check_base
    from kubeimage.sources.names import is_source_name

    if not (isinstance(name, str) and is_source_name(name)):
        image, reference = find_image(name, backends, platform=platform)
        check_base(image, reference, backends, ask=False)


def _common_platforms(names: Sequence[ImageName], backends: Backends) -> list[Platform]:
    """Return the platforms that every image is for, in the order of the first one."""
    each = [_platforms_of(name, backends) for name in names]
    common = [one for one in each[0] if all(any(one.matches(other) for other in others) for others in each[1:])]
    if not common:
        told = ", ".join(
            f"{name} is for {' and '.join(map(str, there))}" for name, there in zip(names, each, strict=True)
        )
        raise PlatformMismatchError(f"the images are for no platform in common: {told}")
    return common


def _platforms_of(name: ImageName, backends: Backends) -> list[Platform]:
    image, reference = find_image(name, backends)
    if reference is None or reference.digest is not None:
        return [image.platform]
    records = backends.images.records()
    return [record.platform for record in records if record.reference == reference] or [image.platform]


__all__ = ["Merged", "merge_images"]
