"""Whole operations on a store beside building: take names away, verify, delete what nobody needs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress

from kubeimage.cache import CacheRecords
from kubeimage.context.indexfile import damaged_indexes
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
from kubeimage.store import Store, cache_folder
from kubeimage.store.fsck import Finding
from kubeimage.store.gc import GarbageReport
from kubeimage.store.layout import Layout
from kubeimage.values import dataclass

_IMAGE_ID = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")


@dataclass(frozen=True)
class Removed:
    """What went with a name.

    Units: ``size`` in bytes of those blobs whose size was known.
    """

    reference: Reference
    blobs: tuple[Digest, ...]
    size: int


def find_names(
    names: Sequence[str], images: ImageStore, platform: Platform | None = None, naming: Naming | None = None
) -> list[Reference]:
    """Give the reference that each of ``names`` means, once: itself, or the only name of the image with that id.

    Damaged images can be named as well. With a ``platform``, each must have an image for it.
    Raises: ImageNotFoundError, ReferenceFormatError; UsageError for an id with several names, or with none.
    """
    records, naming = images.records(), naming or Naming()
    found = list(dict.fromkeys(_find_name(name, images, records, naming) for name in names))
    if platform is not None:
        for reference in found:
            _check_platform(reference, platform, records)
    return found


def _check_platform(reference: Reference, platform: Platform, records: Sequence[ImageRecord]) -> None:
    there = [one.platform for one in records if one.reference == reference.with_tag(reference.tag)]
    if not any(platform.matches(one) for one in there):
        raise ImageNotFoundError(
            f"no image {reference.familiar()} for {platform} in the store",
            hint=f"it is for {', '.join(map(str, there))}",
        )


def _find_name(name: str, images: ImageStore, records: Sequence[ImageRecord], naming: Naming) -> Reference:
    identity = _IMAGE_ID.fullmatch(name)
    try:
        reference = naming.parse(name)
    except ReferenceFormatError:
        if identity is None:
            raise
    else:
        if _is_there(reference, images):
            return reference
    meant = [record for record in records if identity is not None and record.image_id.hex.startswith(identity[1])]
    if not meant:
        raise _not_found(name, records, naming)
    return _only_name(name, meant, naming)


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


def remove_name(reference: Reference, images: ImageStore, platform: Platform | None = None) -> Removed:
    """Take a name away, for one platform or for all, and delete what only it held.

    Raises: ImageNotFoundError, StoreAccessError.
    """
    sizes = _sizes(reference, images)
    blobs = tuple(images.remove(reference, platform))
    return Removed(reference, blobs, sum(sizes.get(blob, 0) for blob in blobs))


def _sizes(reference: Reference, images: ImageStore) -> dict[Digest, int]:
    sizes: dict[Digest, int] = {}
    for record in images.records():
        if record.reference == reference:
            try:
                image = images.get(reference, record.platform)
            except (BlobNotFoundError, BlobCorruptError, LayerError):
                continue
            if image is not None:
                sizes[image.id] = len(image.config)
                sizes |= {layer.diff_id: layer.size for layer in image.layers}
                sizes |= {layer.descriptor.digest: layer.descriptor.size for layer in image.layers}
    return sizes


def check_store(root: str, *, repair: bool = False) -> list[Finding]:
    """Verify every digest, size and reference of the store at ``root``; with ``repair``, mend what can be mended.

    Raises: StoreVersionError, StoreAccessError.
    """
    with _open_store(root) as store:
        return store.check(repair=repair)


def prune_store(root: str, *, keep_cache: bool = False, dry_run: bool = False) -> GarbageReport:
    """Delete what no image, no running build and, if it is kept, not the build cache refers to; or only find it.

    Raises: StoreVersionError, StoreAccessError.
    """
    if not Layout(os.path.abspath(root)).is_complete():
        return GarbageReport()
    with _open_store(root) as store:
        return store.collect_garbage(keep_cache=keep_cache, dry_run=dry_run)


class _Cache(CacheRecords):
    """All that lies in the store's ``cache/``: the build cache, and what is remembered of build contexts."""

    def check(self, layers: set[Digest], *, repair: bool) -> list[tuple[str, str, bool]]:
        """Check the indexes of build contexts as well."""
        damaged = damaged_indexes(os.path.join(self.directory, "contexts"))
        for path in damaged if repair else ():
            with suppress(OSError):
                os.unlink(path)
        found = super().check(layers, repair=repair)
        return [*found, *((path, "the index of a build context is damaged", True) for path in damaged)]


def _open_store(root: str) -> Store:
    return Store.open(root, create=False, cache=_Cache(cache_folder(root)))
