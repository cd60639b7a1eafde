"""From an entry of the index to an image: manifests and configs, verified on every read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kubeimage.errors import BlobCorruptError, BlobNotFoundError, KubeimageError, StoreError
from kubeimage.image import canonical
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import (
    MEDIA_TYPE_CONFIG,
    MEDIA_TYPE_INDEX,
    MEDIA_TYPE_LAYER,
    MEDIA_TYPE_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    platform_from_json,
)
from kubeimage.image.platform import Platform
from kubeimage.store.blobs import REBUILD, Blobs

LARGEST_MANIFEST = 4 << 20
"""What a registry takes, and more than any manifest or index has. Units: bytes."""

_BAD_JSON = (ValueError, KeyError, TypeError, AttributeError, KubeimageError)


def read_manifest(blobs: Blobs, descriptor: Descriptor) -> Manifest:
    """Read the manifest of an image for one platform.

    Raises: BlobNotFoundError, BlobCorruptError.
    """
    data = blobs.read(descriptor.digest, descriptor.size)
    try:
        return Manifest.from_bytes(data)
    except _BAD_JSON as error:
        raise BlobCorruptError(f"the blob {descriptor.digest} is no image manifest: {error}", hint=REBUILD) from error


def read_image(blobs: Blobs, descriptor: Descriptor) -> Image:
    """Read the image that a manifest's descriptor leads to.

    Raises: BlobNotFoundError, BlobCorruptError; StoreError for one whose layers are compressed.
    """
    manifest = read_manifest(blobs, descriptor)
    strange = next((layer.media_type for layer in manifest.layers if layer.media_type != MEDIA_TYPE_LAYER), None)
    if strange is not None:
        raise StoreError(
            f"the image {descriptor.digest} has layers of type {strange}; only uncompressed ones can be used in place",
            hint="buildah push --disable-compression NAME oci:DIR:NAME writes layers as they are",
        )
    config = blobs.read(manifest.config.digest, manifest.config.size)
    try:
        return Image.from_config(config, manifest.layers)
    except _BAD_JSON as error:
        raise BlobCorruptError(
            f"the blob {manifest.config.digest} is no config of the image {descriptor.digest}: {error}", hint=REBUILD
        ) from error


def iter_manifests(blobs: Blobs, descriptor: Descriptor) -> Iterator[Descriptor]:
    """Give the manifests that a descriptor leads to: its own, or all those of an image index.

    Raises: BlobNotFoundError, BlobCorruptError.
    """
    if descriptor.media_type != MEDIA_TYPE_INDEX:
        yield descriptor
        return
    data = blobs.read(descriptor.digest, descriptor.size)
    try:
        manifests = Index.from_bytes(data).manifests
    except _BAD_JSON as error:
        raise BlobCorruptError(f"the blob {descriptor.digest} is no image index: {error}", hint=REBUILD) from error
    yield from (one for one in manifests if one.media_type == MEDIA_TYPE_MANIFEST)


def platform_of(blobs: Blobs, descriptor: Descriptor) -> Platform:
    """Give the platform of a manifest's image, from its config where the descriptor does not say it.

    Raises: BlobNotFoundError, BlobCorruptError.
    """
    if descriptor.platform is not None:
        return descriptor.platform
    config = read_manifest(blobs, descriptor).config
    data = blobs.read(config.digest, config.size)
    try:
        return platform_from_json(canonical.decode(data))
    except _BAD_JSON as error:
        raise BlobCorruptError(f"the blob {config.digest} is no image config: {error}", hint=REBUILD) from error


def blobs_of(blobs: Blobs, descriptor: Descriptor) -> Iterator[Descriptor]:
    """Give the blob that a descriptor names, and all that this one needs; what is missing or damaged needs nothing.

    What is of no known type may be a manifest of another kind, or one whose type somebody has spoilt.
    Raises: StoreAccessError: what cannot be read now may need anything.
    """
    yield descriptor
    if descriptor.media_type in (MEDIA_TYPE_LAYER, MEDIA_TYPE_CONFIG) or descriptor.size > LARGEST_MANIFEST:
        return
    try:
        value = canonical.decode(blobs.read(descriptor.digest, descriptor.size))
    except (BlobNotFoundError, BlobCorruptError, ValueError):
        return
    for needed in _descriptors_in(value):
        yield from blobs_of(blobs, needed)


def _descriptors_in(value: dict[str, Any]) -> Iterator[Descriptor]:
    """Find the descriptors of a manifest or index of any kind, signatures and other artifacts included."""
    lists = (value.get("layers"), value.get("manifests"), value.get("blobs"), [value.get("config")])
    for one in [one for some in lists if isinstance(some, list) for one in some]:
        try:
            yield Descriptor.from_json(one)
        except _BAD_JSON:
            continue


def digests_of(blobs: Blobs, descriptor: Descriptor) -> set[Digest]:
    """Give the digests of the blob that a descriptor names and of all that it needs.

    Raises: StoreAccessError.
    """
    return {one.digest for one in blobs_of(blobs, descriptor)}
