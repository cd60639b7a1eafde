"""What refers to images in an image layout: told from these by its tag, its subject, or cosign's word for it.

Source: OCI distribution-spec v1.1, "Referrers Tag Schema"; cosign's ``pkg/oci/layout`` for what ``cosign save`` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from kubeimage.errors import ArchiveError, KubeimageError
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import is_layer
from kubeimage.image.oci import ANNOTATION_REF_NAME, Descriptor
from kubeimage.image.referrers import Artifact, ReferrerChoice, cosign_tag, parse_tag, read_referrer
from kubeimage.image.referring import FoundReferrer, read_artifact, walk_referrers

_KIND = "kind"
_COSIGNS = "dev.cosignproject.cosign/"
_COSIGNS_SUFFIXES = {"sigs": "sig", "atts": "att", "sboms": "sbom"}
_COSIGNS_IMAGES = ("image", "imageIndex")
_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)

ReadMember = Callable[[Descriptor], bytes | None]
"""Returns a manifest, verified; None where the layout has it not."""


class Listed(NamedTuple):
    """A manifest that a layout lists as referring to something. Shape: ``tag`` is cosign's, or empty."""

    subject: Digest
    manifest: Descriptor
    tag: str = ""


class Artefacts:
    """The artefacts among what a layout lists.

    Shape: ``images`` are the others. ``strays`` are those that no walk has come to yet.
    """

    def __init__(self, listed: Sequence[Descriptor], read: ReadMember, choice: ReferrerChoice) -> None:
        self._read = read
        self._choice = choice
        self._found: dict[Digest, list[Listed]] = {}
        self.images: list[Descriptor] = []
        self.strays: set[Digest] = set()
        signed = [one.digest for one in listed if _cosigns_word(one) in _COSIGNS_IMAGES]
        for one in listed:
            found = self._about(one, signed)
            if found is None:
                self.images.append(one)
            for artefact in found or ():
                self._found.setdefault(artefact.subject, []).append(artefact)
                self.strays.add(artefact.manifest.digest)

    def walk(self, subjects: Sequence[Digest]) -> list[FoundReferrer]:
        """Return what refers to manifests of the layout, and to that in turn, as far as it is wanted.

        Raises: ArchiveError.
        """
        try:
            found = walk_referrers(subjects, self._list_level)
        except ArchiveError:
            raise
        except _BAD as error:
            raise ArchiveError(f"what refers to images in the archive cannot be followed: {error}") from error
        self.strays -= {one.referrer.digest for one in found}
        return found

    def _about(self, one: Descriptor, signed: Sequence[Digest]) -> list[Listed] | None:
        """Return the artefacts that an entry leads to; None where it is an image's."""
        tag = one.annotations.get(ANNOTATION_REF_NAME, "")
        parsed = parse_tag(tag)
        if parsed is not None:
            subject, suffix = parsed
            return [Listed(subject, one, tag)] if suffix else self._of_index(one, subject)
        suffix = _COSIGNS_SUFFIXES.get(_cosigns_word(one), "")
        if suffix:
            return [Listed(subject, one, cosign_tag(subject, suffix)) for subject in signed[:1]]
        document = self._document(one)
        if document is None or document.subject is None or _is_image(document):
            return None
        return [Listed(document.subject, one)]

    def _of_index(self, one: Descriptor, subject: Digest) -> list[Listed]:
        """Return what the index under a fallback tag lists, as far as the layout has it."""
        document = self._document(one)
        return [Listed(subject, each) for each in (document.manifests if document else ()) if self._read(each)]

    def _document(self, one: Descriptor) -> Artifact | None:
        data = self._read(one)
        try:
            return Artifact.from_bytes(data) if data is not None else None
        except _BAD:
            return None

    def _list_level(self, level: Sequence[Digest]) -> list[FoundReferrer]:
        found = []
        for one in (one for subject in level for one in self._found.get(subject, ())):
            referrer, _ = read_referrer(self._require(one.manifest), one.subject, one.tag)
            self.strays.discard(referrer.digest)
            if self._choice.takes(referrer.artifact_type, referrer.tag, referrer.manifest.annotations):
                found.append(read_artifact(self._require(one.manifest), referrer, self._require))
        return found

    def _require(self, one: Descriptor) -> bytes:
        data = self._read(one)
        if data is None:
            raise ArchiveError(f"the archive lacks {one.digest}, which refers to an image in it")
        return data


def _is_image(document: Artifact) -> bool:
    """Whether this is an image that refers to another one, and does not call itself anything else."""
    return not document.artifact_type or is_layer(document.artifact_type)


def _cosigns_word(one: Descriptor) -> str:
    word = one.annotations.get(_KIND, "")
    return word.removeprefix(_COSIGNS) if word.startswith(_COSIGNS) else ""


def entry_of(found: FoundReferrer) -> JsonObject:
    """Return the entry of an artefact in a layout's index, as ``oras`` writes it."""
    referrer = found.referrer
    annotations = {ANNOTATION_REF_NAME: referrer.tag} if referrer.tag else {}
    manifest = Descriptor(referrer.manifest.media_type, referrer.digest, referrer.manifest.size, annotations)
    kind = {"artifactType": referrer.artifact_type} if referrer.artifact_type else {}
    return {**manifest.to_json(), **kind}
