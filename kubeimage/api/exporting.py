"""Exporting: the root filesystem of an image into a folder, all of it or nothing."""

from __future__ import annotations

from typing import BinaryIO

from kubeimage.api.backends import Backends
from kubeimage.api.finding import ImageName, find_image
from kubeimage.disk.wholefolder import whole_folder
from kubeimage.errors import BlobCorruptError, UsageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.layer.apply import apply_changeset
from kubeimage.layer.stack import LayerReader
from kubeimage.store.blobs import REBUILD, hash_file
from kubeimage.values import dataclass


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
    written = 0
    with whole_folder(directory) as staging:
        for layer in image.layers:
            with layers.open(layer.diff_id) as tar:
                _verify(tar, layer.diff_id)
                written += apply_changeset(staging, tar)
    return written


def _verify(tar: BinaryIO, diff_id: Digest) -> None:
    """Make sure of the bytes that leave the store: a mark on the file only says that nobody wrote to it."""
    found = hash_file(tar)
    if found != diff_id:
        raise BlobCorruptError(f"the layer {diff_id} is damaged: its bytes are {found}", hint=REBUILD)
    tar.seek(0)


__all__ = ["Exported", "export_image"]
