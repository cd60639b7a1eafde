"""From what an image's name leads to, a manifest or an index, to the manifest for one platform."""

from __future__ import annotations

from typing import NamedTuple

from kubeimage.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    ImageNotFoundError,
    KubeimageError,
    PlatformMismatchError,
)
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEXES, MANIFESTS
from kubeimage.image.oci import Descriptor, Index, Manifest, leaves, parse_document, platform_from_json
from kubeimage.image.platform import Platform
from kubeimage.protocols.sources import ImageSource

_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)


def choose_manifest(source: ImageSource, platform: Platform | None) -> tuple[bytes, Manifest]:
    """Return the manifest of an image for ``platform``; without one, this machine's, or the first.

    Raises: PlatformMismatchError, ImageNotFoundError; BlobNotFoundError, BlobCorruptError; RegistryError.
    """
    return choose_from(source.read_top(), source, platform)


def choose_from(top: bytes, source: ImageSource, platform: Platform | None) -> tuple[bytes, Manifest]:
    """Return the manifest for ``platform`` that ``top``, which the image's name led to, is or lists.

    Raises: as ``choose_manifest``.
    """
    data = top
    document = _parse(data, source)
    if isinstance(document, Index):
        data = source.read_document(_choose(document, source, platform))
        document = _parse(data, source)
        if isinstance(document, Index):
            raise BlobCorruptError(f"{source.where}: an index is listed as a manifest")
    if platform is not None:
        _check(document, source, platform)
    return data, document


def list_manifests(source: ImageSource) -> list[Descriptor]:
    """Return the manifests of images for a machine that the image's name leads to.

    Raises: as ``choose_manifest``.
    """
    data = source.read_top()
    document = _parse(data, source)
    if isinstance(document, Manifest):
        return [Descriptor(document.media_type, Digest.of(data), len(data))]
    return _images(document, source)


class Listing(NamedTuple):
    """What an image consists of. Shape: ``manifests`` are those of an index; ``blobs`` are each there once."""

    top: Descriptor
    manifests: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]


def list_contents(source: ImageSource, platform: Platform | None) -> Listing:
    """Return what an image consists of, for all platforms or for one; nothing but manifests is read.

    Raises: as ``choose_manifest``.
    """
    data = source.read_top()
    document = _parse(data, source)
    top = Descriptor(document.media_type, Digest.of(data), len(data))
    if isinstance(document, Manifest) or platform is not None:
        chosen, manifest = choose_manifest(source, platform)
        found = [(Descriptor(manifest.media_type, Digest.of(chosen), len(chosen)), manifest)]
    else:
        read = [(one, _parse(source.read_document(one), source)) for one in _images(document, source)]
        found = [(one, manifest) for one, manifest in read if isinstance(manifest, Manifest)]
    blobs = {blob.digest: blob for _, manifest in found for blob in (manifest.config, *manifest.layers)}
    return Listing(top, tuple(one for one, _ in found if one.digest != top.digest), tuple(blobs.values()))


def _parse(data: bytes, source: ImageSource) -> Manifest | Index:
    try:
        return parse_document(data)
    except _BAD as error:
        raise BlobCorruptError(f"{source.where}: this is no manifest of an image: {error}") from error


def _choose(index: Index, source: ImageSource, platform: Platform | None) -> Descriptor:
    listed = _images(index, source)
    if not listed:
        raise ImageNotFoundError(f"{source.where}: the index lists no image")
    if platform is None and len(listed) == 1:
        return listed[0]
    wanted = platform or Platform.host()
    known = {one.digest: _platform_of(one, source) for one in listed}
    chosen = wanted.choose(listed, lambda one: known[one.digest])
    if not chosen and platform is not None:
        there = ", ".join(dict.fromkeys(map(str, known.values())))
        raise PlatformMismatchError(
            f"{source.where} has no image for {platform}; it has {there}", hint="choose one of them with --platform"
        )
    return (chosen or listed)[0]


def _images(index: Index, source: ImageSource) -> list[Descriptor]:
    def read_inner(listed: Descriptor) -> Index | None:
        try:
            inner = _parse(source.read_document(listed), source)
        except BlobNotFoundError:
            return None
        return inner if isinstance(inner, Index) else None

    try:
        found = leaves(index, read_inner)
    except ValueError as error:
        raise BlobCorruptError(f"{source.where}: the index cannot be followed: {error}") from error
    found = [one for one in found if one.media_type not in INDEXES and one.media_type in MANIFESTS]
    # BuildKit lists what it attests of an image under a platform that nobody has.
    return [one for one in found if one.platform is None or one.platform.os != "unknown"]


def _platform_of(listed: Descriptor, source: ImageSource) -> Platform:
    if listed.platform is not None:
        return listed.platform
    manifest = _parse(source.read_document(listed), source)
    if isinstance(manifest, Index):
        raise BlobCorruptError(f"{source.where}: an index is listed as a manifest")
    return _platform_in(manifest, source)


def _platform_in(manifest: Manifest, source: ImageSource) -> Platform:
    try:
        return platform_from_json(canonical.decode(source.read_document(manifest.config)))
    except (BlobNotFoundError, BlobCorruptError):
        raise
    except _BAD as error:
        raise BlobCorruptError(f"{source.where}: {manifest.config.digest} is no image config: {error}") from error


def _check(manifest: Manifest, source: ImageSource, platform: Platform) -> None:
    found = _platform_in(manifest, source)
    # Configs and indexes often differ about the variant.
    if not platform.accepts(found) and not platform.is_alike(found):
        raise PlatformMismatchError(
            f"{source.where} has no image for {platform}; it has {found}", hint="choose it with --platform"
        )
