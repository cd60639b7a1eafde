"""Merging images of a store: whole operations."""

from __future__ import annotations

from collections.abc import Sequence

from kubeimage.api.backends import Backends
from kubeimage.api.bringing import bring_image
from kubeimage.api.finding import ImageName, find_image
from kubeimage.builder.plan import rfc3339
from kubeimage.errors import KubeimageError, PlatformMismatchError, ReferenceFormatError, UsageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.merging import merge_images as stack_images
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.protocols.images import ImageRecord
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
    asked, names = names, [bring_image(name, backends, platform=platform) for name in names]
    created = rfc3339(epoch) if epoch is not None else None
    shown = [str(name.id) if isinstance(name, Image) else str(name) for name in names]
    stacks = _stacks(names, backends, platform)
    for stack in stacks if backends.trust else ():
        for name, image in zip(asked, stack, strict=True):
            _check_trust(name, image, backends)
    made = [stack_images(stack, shown, created=created) for stack in stacks]
    images = backends.images
    digest = images.put(made[0], references) if len(made) == 1 else images.put_index(made, references)
    return Merged(digest, tuple(made))


def _check_trust(name: ImageName, found: Image, backends: Backends) -> None:
    """Hold the policy against an image that was found in the store; one from elsewhere is judged when it is brought."""
    from kubeimage.api.trusting import check_base
    from kubeimage.sources.names import is_source_name

    if not (isinstance(name, str) and is_source_name(name)):
        check_base(found, _reference_of(name, backends), backends, ask=False)


def _stacks(names: Sequence[ImageName], backends: Backends, platform: Platform | None) -> list[list[Image]]:
    """Return the images of each platform, lowest first, all as they were at one time.

    A name that meanwhile gets another image would bring together what never stood side by side.
    """
    while True:
        before = _listed(names, backends)
        try:
            chosen = (platform,) if platform is not None else _common_platforms(names, backends)
            found = [[find_image(name, backends, platform=one)[0] for name in names] for one in chosen]
        except KubeimageError:
            if _listed(names, backends) == before:
                raise
        else:
            if _listed(names, backends) == before:
                return found


def _listed(names: Sequence[ImageName], backends: Backends) -> list[list[ImageRecord]]:
    """Return what the store's names lead to."""
    references = [_reference_of(name, backends) for name in names]
    return [backends.images.records(one) for one in references if one is not None]


def _reference_of(name: ImageName, backends: Backends) -> Reference | None:
    """Return the name as one of the store; None for an image, and for what can only be an id."""
    if isinstance(name, Reference):
        return name
    if isinstance(name, Image):
        return None
    try:
        return backends.naming.parse(name)
    except ReferenceFormatError:
        return None


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
