"""From an entry of the index to an image: manifests and configs, verified on every read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from kubeimage.errors import BlobCorruptError, BlobNotFoundError, KubeimageError, StoreError
from kubeimage.image import canonical
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import CONFIGS, INDEXES, MANIFESTS, is_layer
from kubeimage.image.oci import Descriptor, Index, Manifest, leaves, parse_document, platform_from_json
from kubeimage.image.platform import Platform
from kubeimage.store.blobs import REBUILD, Blobs
from kubeimage.store.variants import Variants

LARGEST_MANIFEST = 4 << 20
"""What a registry takes, and more than any manifest or index has. Units: bytes."""

_BAD_JSON = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)

Document = Manifest | Index
Taken = frozenset[Digest] | None
"""Which of an index's manifests came with it; None where all did."""


def read_document(blobs: Blobs, descriptor: Descriptor) -> Document:
    """Read a manifest or an index.

    Raises: BlobNotFoundError, BlobCorruptError.
    """
    data = blobs.read(descriptor.digest, descriptor.size)
    try:
        return parse_document(data)
    except _BAD_JSON as error:
        what = "index" if descriptor.media_type in INDEXES else "manifest"
        raise BlobCorruptError(f"the blob {descriptor.digest} is no image {what}: {error}", hint=REBUILD) from error


def read_manifest(blobs: Blobs, descriptor: Descriptor) -> Manifest:
    """Read the manifest of an image for one platform.

    Raises: BlobNotFoundError, BlobCorruptError.
    """
    document = read_document(blobs, descriptor)
    if isinstance(document, Index):
        raise BlobCorruptError(f"the blob {descriptor.digest} is no image manifest, but an index", hint=REBUILD)
    return document


def read_index(blobs: Blobs, descriptor: Descriptor) -> Index:
    """Read an image index.

    Raises: BlobNotFoundError, BlobCorruptError.
    """
    document = read_document(blobs, descriptor)
    if isinstance(document, Manifest):
        raise BlobCorruptError(f"the blob {descriptor.digest} is no image index, but a manifest", hint=REBUILD)
    return document


def read_image(blobs: Blobs, variants: Variants, descriptor: Descriptor) -> Image:
    """Read the image that a manifest's descriptor leads to.

    Raises: BlobNotFoundError, BlobCorruptError, LayerError; StoreError for what is no image but something else.
    """
    manifest = read_manifest(blobs, descriptor)
    layers = [variants.layer_in(layer) for layer in manifest.layers]
    config = blobs.read(manifest.config.digest, manifest.config.size)
    try:
        image = Image.from_config(config, layers, manifest=descriptor.digest, annotations=manifest.annotations)
    except _BAD_JSON as error:
        if manifest.config.media_type not in CONFIGS:
            raise StoreError(
                f"{descriptor.digest} is no container image: its config is of the type {manifest.config.media_type!r}"
            ) from error
        raise BlobCorruptError(
            f"the blob {manifest.config.digest} is no config of the image {descriptor.digest}: {error}", hint=REBUILD
        ) from error
    return image


def iter_manifests(blobs: Blobs, descriptor: Descriptor, taken: Taken = None) -> Iterator[Descriptor]:
    """Yield the manifests of images that a descriptor leads to: its own, or all those of an image index.

    Raises: BlobNotFoundError, BlobCorruptError.
    """
    if descriptor.media_type not in INDEXES:
        yield descriptor
        return
    for one in listed_in(blobs, read_index(blobs, descriptor)):
        if one.media_type in MANIFESTS and is_taken(one, taken) and is_for_a_machine(one):
            yield with_real_size(blobs, one)


def listed_in(blobs: Blobs, index: Index) -> list[Descriptor]:
    """Return what an index lists, with what the indexes inside it list in their place, as far as they are there.

    Raises: BlobCorruptError; StoreAccessError.
    """

    def read_inner(inner: Descriptor) -> Index | None:
        try:
            return read_index(blobs, with_real_size(blobs, inner))
        except BlobNotFoundError:
            return None

    try:
        return leaves(index, read_inner)
    except ValueError as error:
        raise BlobCorruptError(f"an image index cannot be followed: {error}", hint=REBUILD) from error


def inner_indexes(blobs: Blobs, index: Index) -> list[Descriptor]:
    """Return the indexes that stand inside ``index`` and are there, innermost first.

    Raises: BlobCorruptError; StoreAccessError.
    """
    found: dict[Digest, Descriptor] = {}
    todo = [one for one in index.manifests if one.media_type in INDEXES]
    while todo:
        one = with_real_size(blobs, todo.pop())
        with suppress(BlobNotFoundError):
            inside = read_index(blobs, one).manifests if one.digest not in found else ()
            found.pop(one.digest, None)
            found[one.digest] = one
            todo += [each for each in inside if each.media_type in INDEXES]
    return list(found.values())[::-1]


def hold_listed(
    blobs: Blobs, index: Index, hold: Callable[[Iterable[Digest]], None]
) -> tuple[list[Descriptor], list[Descriptor]]:
    """Return the indexes that stand inside ``index``, innermost first, and what all of them list; the indexes are held.

    One of them may go before it is held: then it is not there, and what it listed is not listed.
    Raises: BlobCorruptError; StoreAccessError; what ``hold`` raises.
    """
    held: list[Descriptor] | None = None
    listed: list[Descriptor] = []
    while (inner := inner_indexes(blobs, index)) != held:
        hold(one.digest for one in inner)
        held, listed = inner, listed_in(blobs, index)
    return inner, listed


def is_taken(descriptor: Descriptor, taken: Taken) -> bool:
    """Whether one of an index's manifests came with it."""
    return taken is None or descriptor.digest in taken


def is_for_a_machine(descriptor: Descriptor) -> bool:
    """Whether this is an image: BuildKit lists what it attests of one under a platform that nobody has."""
    return descriptor.platform is None or descriptor.platform.os != "unknown"


def with_real_size(blobs: Blobs, descriptor: Descriptor) -> Descriptor:
    """Return the descriptor with the size that the blob has.

    The digest decides: sealer writes other sizes into its lists.

    Raises: StoreAccessError.
    """
    try:
        size = blobs.size(descriptor.digest)
    except BlobNotFoundError:
        return descriptor
    return descriptor if size == descriptor.size else replace(descriptor, size=size)


def platform_of(blobs: Blobs, descriptor: Descriptor) -> Platform:
    """Return the platform of a manifest's image, from its config where the descriptor does not say it.

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


def blobs_of(blobs: Blobs, descriptor: Descriptor, taken: Taken = None) -> Iterator[Descriptor]:
    """Yield the blob that a descriptor names, and all that this one needs; what is missing or damaged needs nothing.

    What is of no known type may be a manifest of another kind, or one whose type somebody has spoilt.
    Raises: StoreAccessError: what cannot be read now may need anything.
    """
    yield descriptor
    if is_layer(descriptor.media_type) or descriptor.media_type in CONFIGS or descriptor.size > LARGEST_MANIFEST:
        return
    try:
        value = canonical.decode(blobs.read(descriptor.digest, descriptor.size))
    except (BlobNotFoundError, BlobCorruptError, ValueError):
        return
    is_index = descriptor.media_type in INDEXES
    for needed in _descriptors_in(value):
        if not is_index:
            yield from blobs_of(blobs, needed)
        elif is_taken(needed, taken):
            yield from blobs_of(blobs, with_real_size(blobs, needed), taken)


def _descriptors_in(value: dict[str, Any]) -> Iterator[Descriptor]:
    """Find the descriptors of a manifest or index of any kind, signatures and other artifacts included."""
    lists = (value.get("layers"), value.get("manifests"), value.get("blobs"), [value.get("config")])
    for one in [one for some in lists if isinstance(some, list) for one in some]:
        try:
            yield Descriptor.from_json(one)
        except _BAD_JSON:
            continue


def digests_of(blobs: Blobs, descriptor: Descriptor, taken: Taken = None) -> set[Digest]:
    """Return the digests of the blob that a descriptor names and of all that it needs.

    Raises: StoreAccessError.
    """
    return {one.digest for one in blobs_of(blobs, descriptor, taken)}
