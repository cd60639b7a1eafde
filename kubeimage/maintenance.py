"""Whole operations on a store beside building: export an image, take names away, verify, delete what nobody needs."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO

from kubeimage.cache import CacheRecords
from kubeimage.context.indexfile import damaged_indexes
from kubeimage.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    ImageNotFoundError,
    LayerError,
    ReferenceFormatError,
    StoreAccessError,
    StoreFullError,
    UsageError,
)
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Naming, Reference
from kubeimage.layer.apply import apply_changeset
from kubeimage.layer.removal import remove_tree
from kubeimage.protocols import ImageRecord, ImageStore, LayerStore
from kubeimage.store import Store, cache_folder
from kubeimage.store.blobs import REBUILD, hash_file
from kubeimage.store.fsck import Finding
from kubeimage.store.gc import GarbageReport
from kubeimage.store.layout import Layout
from kubeimage.values import dataclass

_FULL = {errno.ENOSPC, errno.EDQUOT}
_IMAGE_ID = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")


def export_image(image: Image, directory: str, layers: LayerStore) -> int:
    """Write the image's root filesystem into ``directory``, and return the bytes of its files.

    Shape:  ``directory`` is not there yet, or is empty. If anything fails it is as it was before.
    Raises: UsageError for a directory that is in use; BlobNotFoundError, BlobCorruptError, LayerError;
            StoreFullError, StoreAccessError where it cannot be written.
    """
    target = os.path.abspath(directory)
    with _translated(target):
        exists = _check_target(target, directory)
        with _staging(target if exists else os.path.dirname(target)) as staging:
            written = 0
            for layer in image.layers:
                with layers.open(layer.diff_id) as tar:
                    _verify(tar, layer.diff_id)
                    written += apply_changeset(staging, tar)
            _publish(staging, target, exists=exists)
    return written


def _verify(tar: BinaryIO, diff_id: Digest) -> None:
    """Make sure of the bytes that leave the store: a mark on the file only says that nobody wrote to it."""
    found = hash_file(tar)
    if found != diff_id:
        raise BlobCorruptError(f"the layer {diff_id} is damaged: its bytes are {found}", hint=REBUILD)
    tar.seek(0)


def _check_target(target: str, directory: str) -> bool:
    """Tell whether ``target`` is there, as an empty folder."""
    if not os.path.lexists(target):
        if not os.path.isdir(os.path.dirname(target)):
            raise UsageError(f"there is no folder {os.path.dirname(target)!r} to make {os.path.basename(target)!r} in")
        return False
    if not os.path.isdir(target):
        raise UsageError(f"{directory!r} is not a folder", hint="name a folder that is not there yet, or an empty one")
    with os.scandir(target) as found:
        first = next(found, None)
    if first is not None:
        raise UsageError(
            f"the folder {directory!r} is not empty: it holds {first.name!r}", hint="name a new or an empty folder"
        )
    return True


@contextmanager
def _staging(folder: str) -> Iterator[str]:
    """Give a folder on the target's filesystem that is gone afterwards, unless it was moved away."""
    staging = tempfile.mkdtemp(prefix=".kubeimage-export-", dir=folder)
    try:
        os.chmod(staging, 0o755)  # noqa: S103  an image's root is for everybody, unlike a temporary folder
        yield staging
    finally:
        remove_tree(staging)


def _publish(staging: str, target: str, *, exists: bool) -> None:
    """Move what is ready to its place; a folder that is there stays the same one, for somebody may stand in it."""
    if not exists:
        os.rename(staging, target)
        return
    for name in sorted(os.listdir(staging)):
        os.rename(os.path.join(staging, name), os.path.join(target, name))


@contextmanager
def _translated(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot write to {target!r}: {error.strerror or error}"
        raise (StoreFullError if error.errno in _FULL else StoreAccessError)(message) from error


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
