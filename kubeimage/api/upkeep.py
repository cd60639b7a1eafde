"""Whole operations on a store beside building: take names away, verify, delete what nobody needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kubeimage.api.backends import Backends
from kubeimage.api.finding import ImageName, check_is_stored, find_image, parse_name
from kubeimage.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    ImageNotFoundError,
    LayerError,
    ReferenceFormatError,
    UsageError,
)
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Naming, Reference
from kubeimage.protocols.images import ImageRecord, ImageStore
from kubeimage.protocols.watching import ignore
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.store.findings import Finding
    from kubeimage.store.garbage import GarbageReport
    from kubeimage.store.policy import PrunePolicy

_IMAGE_ID = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")


@dataclass(frozen=True)
class Removed:
    """What went with a name.

    Units: ``size`` in bytes of those blobs whose size was known.
    """

    reference: Reference
    blobs: tuple[Digest, ...]
    size: int


def tag_image(source: ImageName, target: str | Reference, backends: Backends) -> Reference:
    """Name an image once more, and return that name, whole.

    Shape:  an image that is named by its name goes with all its platforms, one that is named by its id alone.
    Raises: ImageNotFoundError with near names; ReferenceFormatError; StoreError.
    """
    check_is_stored(source, what="tag")
    wanted = parse_name(target, backends.naming, what="TARGET")
    image, reference = find_image(source, backends)
    if reference is None:
        backends.images.put(image, (wanted,))
    else:
        backends.images.tag(reference, wanted)
    return wanted


def remove_images(
    names: Sequence[str | Reference],
    backends: Backends,
    *,
    platform: Platform | None = None,
    observe: Callable[[Removed], object] = ignore,
) -> list[Removed]:
    """Take names away, for one platform or for all, and delete what only they held.

    Shape:  what is in ``names`` is a name, or the start of the id of an image that has one name.
            ``observe`` hears of each once it is gone. If one of them is not there, none is taken.
            Damaged images can be named as well.
    Raises: ImageNotFoundError, ReferenceFormatError; UsageError for an id with several names, or with none;
            StoreAccessError.
    """
    for name in names:
        check_is_stored(name, what="rmi")
    references = _find_names(names, backends, platform)
    gone = []
    for reference in references:
        gone.append(_remove(reference, backends.images, platform))
        observe(gone[-1])
    return gone


def _find_names(names: Sequence[str | Reference], backends: Backends, platform: Platform | None) -> list[Reference]:
    """Return the reference that each of ``names`` means, once: itself, or the only name of the image with that id."""
    images, naming = backends.images, backends.naming
    found = list(dict.fromkeys(_find_name(name, images, naming) for name in names))
    if platform is not None:
        for reference in found:
            _check_platform(reference, platform, images.records(reference.with_tag(reference.tag)))
    return found


def _check_platform(reference: Reference, platform: Platform, records: Sequence[ImageRecord]) -> None:
    there = [one.platform for one in records]
    if not any(platform.matches(one) for one in there):
        raise ImageNotFoundError(
            f"no image {reference.familiar()} for {platform} in the store",
            hint=f"it is for {', '.join(map(str, there))}",
        )


def _find_name(name: str | Reference, images: ImageStore, naming: Naming) -> Reference:
    identity = _IMAGE_ID.fullmatch(str(name))
    try:
        reference = name if isinstance(name, Reference) else naming.parse(name)
    except ReferenceFormatError:
        if identity is None:
            raise
    else:
        if _is_there(reference, images):
            return reference
    # All names are read where the one that is wanted is none of them.
    records = images.records()
    meant = [record for record in records if identity is not None and record.image_id.hex.startswith(identity[1])]
    if not meant:
        raise _not_found(str(name), records, naming)
    return _only_name(str(name), meant, naming)


def _is_there(reference: Reference, images: ImageStore) -> bool:
    try:
        return images.get(reference) is not None
    except (BlobNotFoundError, BlobCorruptError):
        return True


def _not_found(name: str, records: Sequence[ImageRecord], naming: Naming) -> ImageNotFoundError:
    known = [record.reference for record in records if record.reference is not None]
    return ImageNotFoundError(f"no image {name} in the store", hint=naming.suggest(name, known))


def _only_name(name: str, meant: Sequence[ImageRecord], naming: Naming) -> Reference:
    if len({record.image_id for record in meant}) > 1:
        raise UsageError(f"{name} is the start of several image ids", hint="write more of its characters")
    found = list(dict.fromkeys(record.reference for record in meant if record.reference is not None))
    if not found:
        raise UsageError(f"the image {name} has no name to take away", hint="kubeimage prune deletes it")
    if len(found) > 1:
        listed = ", ".join(naming.familiar(reference) for reference in found)
        raise UsageError(f"the image {name} has several names: {listed}", hint="say which of them to take away")
    return found[0]


def _remove(reference: Reference, images: ImageStore, platform: Platform | None) -> Removed:
    sizes = _sizes(reference, images)
    blobs = tuple(images.remove(reference, platform))
    return Removed(reference, blobs, sum(sizes.get(blob, 0) for blob in blobs))


def _sizes(reference: Reference, images: ImageStore) -> dict[Digest, int]:
    sizes: dict[Digest, int] = {}
    for record in images.records(reference):
        try:
            image = images.get(reference, record.platform)
        except (BlobNotFoundError, BlobCorruptError, LayerError):
            continue
        if image is not None:
            sizes[image.id] = len(image.config)
            sizes |= {layer.diff_id: layer.size for layer in image.layers}
            sizes |= {layer.descriptor.digest: layer.descriptor.size for layer in image.layers}
    return sizes


def check_store(backends: Backends, *, repair: bool = False) -> list[Finding]:
    """Verify every digest, size and reference of the store; with ``repair``, mend what can be mended.

    Raises: UsageError for backends without a store on disk; StoreVersionError, StoreAccessError.
    """
    return backends.store_on_disk("look").check(repair=repair)


def prune_store(
    backends: Backends, *, keep_cache: bool = False, dry_run: bool = False, policy: PrunePolicy | None = None
) -> GarbageReport:
    """Delete what no image, no running build and, if it is kept, not the build cache refers to; or only find it.

    Shape:  with a ``policy``, the build cache and what can be made again stay, but for what that lets go.
    Raises: UsageError for backends without a store on disk; StoreVersionError, StoreAccessError.
    """
    store = backends.store_on_disk("look")
    if not store.is_there:
        from kubeimage.store.garbage import GarbageReport

        return GarbageReport()
    return store.collect_garbage(keep_cache=keep_cache, dry_run=dry_run, policy=policy)


def measure_store(backends: Backends) -> dict[str, int]:
    """Return the bytes of all files of the store, by what they are for; their sum is the store's size.

    Shape:  ``images`` (blobs that images name), ``cache`` (those that only the build cache has, and its records),
            ``forms`` (kept forms of layers beside these), ``snapshots``, ``garbage`` (what prune takes away) and
            ``other``.
    Raises: UsageError for backends without a store on disk; StoreVersionError, StoreAccessError.
    """
    return backends.store_on_disk("look").sizes()


__all__ = ["Removed", "check_store", "measure_store", "prune_store", "remove_images", "tag_image"]
