"""An image that lies outside the store, as it travels: all its manifests, and each of its blobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from kubeimage.errors import BlobCorruptError, BlobNotFoundError, KubeimageError, RegistryNotFoundError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEXES
from kubeimage.image.oci import Descriptor, Index, Manifest, leaves, parse_document
from kubeimage.image.platform import Platform
from kubeimage.image.referrers import NO_REFERRERS, ReferrerChoice
from kubeimage.protocols.sources import ImageSource
from kubeimage.protocols.transfer import Arrival, Importer, WireImage, WireManifest
from kubeimage.sources.choosing import choose_manifest

_PIECE = 1 << 20
_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def wire_image(source: ImageSource, platform: Platform | None = None) -> WireImage:
    """Return what an image consists of: for one ``platform``, or for all that are there.

    Raises: PlatformMismatchError; BlobCorruptError for what is no image; RegistryError.
    """
    if platform is not None:
        data, manifest = choose_manifest(source, platform)
        wired = _wired(data, manifest)
        return WireImage(wired.descriptor, data, (wired,))
    data = source.read_top()
    document = _parse(data, source)
    if isinstance(document, Manifest):
        wired = _wired(data, document)
        return WireImage(wired.descriptor, data, (wired,))
    inner: list[WireManifest] = []

    def read_inner(listed: Descriptor) -> Index | None:
        found = _read(listed, source)
        if found is None or not isinstance(found[1], Index):
            return None
        inner.insert(0, WireManifest(_described(found[0], listed.media_type), found[0], ()))
        return found[1]

    manifests, absent = [], []
    for listed in leaves(document, read_inner):
        found = _read(listed, source) if listed.media_type not in INDEXES else None
        if found is None or not isinstance(found[1], Manifest):
            absent.append(listed)
        else:
            manifests.append(_wired(found[0], found[1]))
    top = _described(data, document.media_type)
    return WireImage(top, data, tuple(manifests), tuple(absent), tuple(inner))


def bring(
    source: ImageSource, image: WireImage, importer: Importer, referrers: ReferrerChoice = NO_REFERRERS
) -> Arrival:
    """Bring an image, with what refers to it, into a store, without a name; every digest is verified.

    Raises: BlobNotFoundError, BlobCorruptError, LayerError, StoreError; RegistryError.
    """
    for blob in image.blobs:
        if not importer.has_blob(blob):
            importer.put_blob(blob, _chunks(source, blob))
    for one in image.documents:
        importer.put_manifest(one.data)
    subjects = [image.top.digest, *(one.descriptor.digest for one in image.documents)]
    for found in source.find_referrers([*dict.fromkeys(subjects)], referrers) if referrers else ():
        for blob in found.blobs:
            if not importer.has_blob(blob):
                importer.put_artifact_blob(blob, _chunks(source, blob))
        importer.put_referrer(found)
    return importer.commit(image.data)


def _chunks(source: ImageSource, blob: Descriptor) -> Iterator[bytes]:
    stream: BinaryIO
    with source.open_blob(blob) as stream:
        while piece := stream.read(_PIECE):
            yield piece


def _read(listed: Descriptor, source: ImageSource) -> tuple[bytes, Manifest | Index] | None:
    """Return what an index lists, None where it is not there."""
    try:
        data = source.read_document(listed)
    except (BlobNotFoundError, RegistryNotFoundError):
        return None
    return data, _parse(data, source)


def _parse(data: bytes, source: ImageSource) -> Manifest | Index:
    try:
        return parse_document(data)
    except (*_BAD, KubeimageError) as error:
        raise BlobCorruptError(f"{source.where}: this is no manifest of an image: {error}") from error


def _wired(data: bytes, manifest: Manifest) -> WireManifest:
    blobs = {blob.digest: blob for blob in (manifest.config, *manifest.layers)}
    return WireManifest(_described(data, manifest.media_type), data, tuple(blobs.values()))


def _described(data: bytes, media_type: str) -> Descriptor:
    return Descriptor(media_type, Digest.of(data), len(data))
