"""The manifests of packed images, and what refers to them, as they stand in the layers.

The image's registry has the stock registry's layout, which lists what refers to an image by tags alone. It is read in a
few passes over the layers, for all images at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from kubeimage.errors import BlobNotFoundError, DigestFormatError, KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import LARGEST_DOCUMENT, Descriptor, Index, parse_document
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import Artifact, Referrer, cosign_tag, fallback_tag, read_referrer
from kubeimage.layer.entry import Kind
from kubeimage.packing.closure import Rootfs
from kubeimage.packing.layout import blob_path, choose_manifest, tag_path
from kubeimage.values import dataclass

_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)
K = TypeVar("K")
_Referring = dict[Digest, list[Referrer]]


@dataclass(frozen=True)
class PackedImage:
    """One packed image.

    Shape: ``top`` is what its name leads to, None where that is not there. ``documents`` are that and the manifest that
           is taken of it, byte for byte. ``referrers`` is what refers to them.
    """

    image: Reference
    top: Digest | None
    documents: tuple[bytes, ...]
    referrers: PackedReferrers


class PackedReferrers:
    """What refers to the manifests of one packed image; what cannot be read refers to nothing."""

    def __init__(self, found: Mapping[Digest, list[Referrer]], blobs: Mapping[Digest, bytes]) -> None:
        self._found = found
        self._blobs = blobs

    def list_referrers(self, subject: Digest) -> list[Referrer]:
        """Return what refers to a manifest or index."""
        return self._found.get(subject, [])

    def read_manifest(self, digest: Digest) -> bytes:
        """Return the manifest of an artefact.

        Raises: BlobNotFoundError.
        """
        if digest not in self._blobs:
            raise BlobNotFoundError(f"the blob {digest} is not whole in the image")
        return self._blobs[digest]

    def read_blob(self, blob: Descriptor) -> bytes:
        """Return a blob of an artefact.

        Raises: BlobNotFoundError.
        """
        return self.read_manifest(blob.digest)


def read_packed(
    rootfs: Rootfs, images: Mapping[Reference, Digest | None], platform: Platform
) -> tuple[PackedImage, ...]:
    """Return each of ``images``, sorted, with its manifest for ``platform`` and with what refers to it.

    Raises: BlobNotFoundError, LayerFormatError where a layer itself cannot be read.
    """
    return _Reading(rootfs, platform).run(images)


class _Reading:
    """Blobs by their digests, verified: each pass reads all that the one before has named."""

    def __init__(self, rootfs: Rootfs, platform: Platform) -> None:
        self._rootfs = rootfs
        self._platform = platform
        self._blobs: dict[Digest, bytes] = {}

    def run(self, images: Mapping[Reference, Digest | None]) -> tuple[PackedImage, ...]:
        links = self._read_links({image: tag_path(image) for image in images if image.tag})
        tops = {image: image.digest or wanted or links.get(image) for image, wanted in images.items()}
        self._load(one for one in tops.values() if one is not None)
        chosen = {image: self._choose(top) for image, top in tops.items() if top is not None}
        self._load(one for one in chosen.values() if one is not None)
        subjects = {
            image: [one for one in dict.fromkeys((tops[image], chosen.get(image))) if one in self._blobs]
            for image in images
        }
        found = self._find_referrers({image: [one for one in each if one] for image, each in subjects.items()})
        return tuple(
            PackedImage(
                image,
                tops[image],
                tuple(self._blobs[one] for one in subjects[image] if one is not None),
                PackedReferrers(found[image], self._blobs),
            )
            for image in sorted(images, key=str)
        )

    def _choose(self, top: Digest) -> Digest | None:
        try:
            document = parse_document(self._blobs[top])
        except _BAD:
            return None
        child = choose_manifest(document, self._platform) if isinstance(document, Index) else None
        return child.digest if child is not None else None

    def _find_referrers(
        self, subjects: Mapping[Reference, list[Digest]]
    ) -> dict[Reference, dict[Digest, list[Referrer]]]:
        """Find what refers to the manifests of each image, and read it with its blobs."""
        tags = {
            (image, subject, tag): tag_path(image.with_tag(tag))
            for image, listed in subjects.items()
            for subject in listed
            for tag in (cosign_tag(subject, "sig"), fallback_tag(subject))
        }
        led = self._read_links(tags)
        self._load(led.values())
        self._load(inner for one in led.values() for inner in self._listed_in(one))
        found: dict[Reference, _Referring] = {image: {} for image in subjects}
        blobs: list[Digest] = []
        for (image, subject, tag), digest in led.items():
            by_tag = tag if tag != fallback_tag(subject) else ""
            for one in [digest] if by_tag else self._listed_in(digest):
                read = self._read(one, subject, by_tag)
                if read is not None:
                    found[image].setdefault(subject, []).append(read[0])
                    blobs += [blob.digest for blob in read[1].blobs]
        self._load(blobs)
        return found

    def _listed_in(self, digest: Digest) -> list[Digest]:
        try:
            return [one.digest for one in Index.from_bytes(self._blobs[digest]).manifests]
        except _BAD:
            return []

    def _read(self, digest: Digest, subject: Digest, tag: str) -> tuple[Referrer, Artifact] | None:
        try:
            return read_referrer(self._blobs[digest], subject, tag)
        except _BAD:
            return None

    def _read_links(self, paths: Mapping[K, str]) -> dict[K, Digest]:
        contents = dict(self._rootfs.read(sorted({path for path in paths.values() if self._is_small(path)})))
        found = {}
        for key, path in paths.items():
            try:
                found[key] = Digest.parse(contents[path].decode("ascii", "replace").strip())
            except (KeyError, DigestFormatError):
                continue
        return found

    def _load(self, digests: Iterable[Digest]) -> None:
        wanted = {blob_path(one): one for one in digests if one not in self._blobs}
        read = self._rootfs.read([path for path in wanted if self._is_small(path)])
        self._blobs |= {wanted[path]: data for path, data in read if Digest.of(data) == wanted[path]}

    def _is_small(self, path: str) -> bool:
        entry = self._rootfs.tree.get(path)
        return entry is not None and entry.kind is Kind.FILE and entry.size <= LARGEST_DOCUMENT
