"""What a layout lists beside an image, and what refers to that.

A layout lists artefacts as it lists images. They are told by their ``subject``, by a name that is one of cosign's tags,
or by what `cosign save` writes to them.

Source: OCI image-spec v1.1, image-layout.md and manifest.md; cosign, pkg/oci/layout, for the annotation ``kind``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kubeimage.errors import ArchiveError, KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEX, MANIFEST, MANIFESTS
from kubeimage.image.oci import ANNOTATION_REF_NAME, LARGEST_DOCUMENT, Descriptor, Index
from kubeimage.image.referrers import Referrer, cosign_tag, fallback_tag, parse_tag, read_referrer
from kubeimage.image.referring import MOST_REFERRERS

_KIND, _SIGNATURES = "kind", "dev.cosignproject.cosign/sigs"
_OF_COSIGN = (_SIGNATURES, "dev.cosignproject.cosign/atts")
_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)

ReadDocument = Callable[[Descriptor], bytes]
"""Reads a small blob, verified. Raises: BlobNotFoundError, BlobCorruptError, ArchiveError."""


def is_listed_beside(one: Descriptor) -> bool:
    """Whether an entry of a layout says that it is an artefact, and no image of its own."""
    name = one.annotations.get(ANNOTATION_REF_NAME, "")
    return parse_tag(name) is not None or one.annotations.get(_KIND, "").startswith(_OF_COSIGN)


class LayoutReferrers:
    """The artefacts of a layout; what cannot be read refers to nothing."""

    def __init__(self, where: str, listed: Sequence[Descriptor], read_document: ReadDocument) -> None:
        self._where = where
        self._listed = listed
        self._read_document = read_document

    def list_referrers(self, subject: Digest) -> list[Referrer]:
        """Return what refers to a manifest or index, in the order of digests.

        Raises: ArchiveError where that is too much to be meant.
        """
        found: dict[Digest, Referrer] = {}
        for one, tag in self._candidates(subject):
            try:
                referrer, _ = read_referrer(self._read_document(one), subject, tag)
            except _BAD:
                continue
            found[referrer.digest] = referrer
            if len(found) > MOST_REFERRERS:
                raise ArchiveError(f"{self._where}: more than {MOST_REFERRERS} artefacts refer to {subject}")
        return [found[digest] for digest in sorted(found)]

    def read_manifest(self, digest: Digest) -> bytes:
        """Return the manifest of an artefact, verified.

        Raises: BlobNotFoundError, BlobCorruptError, ArchiveError.
        """
        return self._read_document(Descriptor(MANIFEST, digest, 0))

    def read_blob(self, blob: Descriptor) -> bytes:
        """Return a blob of an artefact, verified.

        Raises: BlobNotFoundError, BlobCorruptError; ArchiveError for one that is too large to be read at once.
        """
        if blob.size > LARGEST_DOCUMENT:
            raise ArchiveError(f"{self._where}: the blob {blob.digest} has {blob.size} bytes")
        return self._read_document(blob)

    def _candidates(self, subject: Digest) -> Iterator[tuple[Descriptor, str]]:
        """Yield what may refer to ``subject``, each with cosign's tag where that says so."""
        tag = cosign_tag(subject, "sig")
        for one in self._listed:
            name = one.annotations.get(ANNOTATION_REF_NAME)
            if name == tag or one.annotations.get(_KIND) == _SIGNATURES:
                yield one, tag
            elif name == fallback_tag(subject) and one.media_type == INDEX:
                yield from ((inner, "") for inner in self._listed_in(one))
            elif one.media_type in MANIFESTS:
                yield one, ""

    def _listed_in(self, listed: Descriptor) -> Sequence[Descriptor]:
        try:
            return Index.from_bytes(self._read_document(listed)).manifests
        except _BAD:
            return ()
