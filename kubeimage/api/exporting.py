"""Exporting: the root filesystem of an image into a folder, all of it or nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from kubeimage.api.backends import Backends
from kubeimage.api.finding import ImageName, find_image
from kubeimage.disk.failures import translated
from kubeimage.disk.flock import own, release, remove_leftovers
from kubeimage.disk.removal import remove_tree
from kubeimage.errors import BlobCorruptError, UsageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.layer.apply import apply_changeset
from kubeimage.layer.stack import LayerReader
from kubeimage.store import files
from kubeimage.store.blobs import REBUILD, hash_file
from kubeimage.values import dataclass

_STAGING = ".kubeimage-export-"


@dataclass(frozen=True)
class Exported:
    """What was written. Units: ``size`` is the bytes of all files."""

    image: Image
    size: int


def export_image(name: ImageName, directory: str, backends: Backends, *, platform: Platform | None = None) -> Exported:
    """Write an image's root filesystem into ``directory``.

    Shape:  ``directory`` is not there yet, or is empty. If anything fails it is as it was before.
    Raises: UsageError for a directory that is in use, or for backends that were opened to look; ImageNotFoundError;
            BlobNotFoundError, BlobCorruptError, LayerError; StoreFullError, StoreAccessError where it cannot be
            written.
    """
    backends.require("read")
    if directory == "-":
        raise UsageError(
            "an export goes into a folder, and - is none",
            hint="kubeimage save writes an image to standard output; ./- is a folder of that name",
        )
    image, _ = find_image(name, backends, platform=platform)
    return Exported(image, _export(image, directory, backends.contents_of(image)))


def _export(image: Image, directory: str, layers: LayerReader) -> int:
    target = os.path.abspath(directory)
    with translated(f"write to {target!r}", target):
        for folder in (target, os.path.dirname(target)):
            remove_leftovers(folder, _STAGING, files.try_remove_tree)
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
    """Return whether ``target`` is there, as an empty folder."""
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
    """Yield a folder on the target's filesystem that is gone afterwards, unless it was moved away.

    It is locked meanwhile: so the next export knows what a killed one has left.
    """
    staging, lock = _make_staging(folder)
    try:
        os.chmod(staging, 0o755)  # noqa: S103  an image's root is for everybody, unlike a temporary folder
        yield staging
    finally:
        try:
            remove_tree(staging)
        finally:
            release(lock)


def _make_staging(folder: str) -> tuple[str, int]:
    while True:
        staging = tempfile.mkdtemp(prefix=_STAGING, dir=folder)
        with suppress(FileNotFoundError):
            lock = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if own(lock, staging):
                return staging, lock


def _publish(staging: str, target: str, *, exists: bool) -> None:
    """Move what is ready to its place; a folder that is there stays the same one, for somebody may stand in it."""
    if not exists:
        os.rename(staging, target)
        return
    for name in sorted(os.listdir(staging)):
        os.rename(os.path.join(staging, name), os.path.join(target, name))


__all__ = ["Exported", "export_image"]
