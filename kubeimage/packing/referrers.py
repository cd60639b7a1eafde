"""Signatures, SBOMs and attestations of packed images, laid out as a registry without a list of referrers has them.

They stand under tags: cosign's as they are, and for the rest an index under ``sha256-HEX`` that lists it. So a stock
registry serves them to whoever looks. What was found is remembered, as what a tag means is; ``--pull-images always``
asks again.

Source: OCI distribution-spec v1.1, "Referrers Tag Schema".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from kubeimage.discovery.references import familiar
from kubeimage.discovery.search import PullImages
from kubeimage.errors import KubeimageError, PackingError
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEX
from kubeimage.image.oci import Descriptor
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ReferrerChoice, fallback_tag, read_referrer
from kubeimage.image.referring import FoundReferrer, read_artifact
from kubeimage.packing.layout import Artefact, Contents
from kubeimage.packing.memory import Memory

if TYPE_CHECKING:
    from kubeimage.packing.fetch import Fetcher

_KIND = "referrers"
_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)


class ReferrerPacker:
    """Finds what refers to images that are packed. Shape: ``unknown`` are images of which nobody could be asked."""

    def __init__(self, fetcher: Fetcher, memory: Memory, choice: ReferrerChoice, policy: PullImages) -> None:
        self._fetcher = fetcher
        self._memory = memory
        self._choice = choice
        self._policy = policy
        self.unknown: list[Reference] = []

    def add(self, contents: Sequence[Contents]) -> list[Contents]:
        """Return the images with what refers to them, whose manifests are brought for that.

        Raises: RegistryError, CredentialsError; PackingError where one tag of cosign's would mean two things.
        """
        found: dict[Reference, list[FoundReferrer]] = {}
        asked: list[Contents] = []
        for one in contents:
            recalled = self._recall(one) if self._policy != "always" else None
            if recalled is not None:
                found[one.image] = recalled
            elif self._policy == "never":
                self.unknown.append(one.image)
            else:
                asked.append(one)
        found |= self._fetcher.find_referrers(asked, self._choice)
        for one in asked:
            self._memory.put(_KIND, self._name(one), [_to_json(each) for each in found[one.image]])
        together = _by_repository(found)
        return [self._with(one, together[one.image]) if together.get(one.image) else one for one in contents]

    def _with(self, one: Contents, found: Sequence[FoundReferrer]) -> Contents:
        """Return an image with artefacts, and with the indexes that list them."""
        artefacts = [_artefact(each) for each in found]
        for subject in dict.fromkeys(each.referrer.subject for each in found if not each.referrer.tag):
            data = _list_of(subject, found)
            self._fetcher.keep_document(data)
            artefacts.append(Artefact((Descriptor.of(INDEX, data),), (), fallback_tag(subject)))
        return replace(one, artefacts=tuple(artefacts))

    def _recall(self, one: Contents) -> list[FoundReferrer] | None:
        """Return what was remembered, as far as its manifests can be had without asking anybody; None where not."""
        value = self._memory.get(_KIND, self._name(one))
        if not isinstance(value, list):
            return None
        with suppress(*_BAD):
            return [self._read(one.image, *map(str, each)) for each in value]
        return None

    def _read(self, image: Reference, digest: str, subject: str, tag: str) -> FoundReferrer:
        data = self._fetcher.read_known(image, Digest.parse(digest))
        referrer, _ = read_referrer(data, Digest.parse(subject), tag)
        return read_artifact(data, referrer, lambda inner: self._fetcher.read_known(image, inner.digest))

    def _name(self, one: Contents) -> str:
        manifests = " ".join(str(each.digest) for each in one.manifests)
        return f"{one.image.domain}/{one.image.repository} {manifests} {self._choice}"


def _to_json(found: FoundReferrer) -> list[str]:
    return [str(found.referrer.digest), str(found.referrer.subject), found.referrer.tag]


def _artefact(found: FoundReferrer) -> Artefact:
    documents = (*(listed for listed, _ in found.inner), found.referrer.manifest)
    return Artefact(tuple(documents), found.blobs, found.referrer.tag)


def _list_of(subject: Digest, found: Sequence[FoundReferrer]) -> bytes:
    """Return the index that lists what refers to a manifest: equal bytes for equal artefacts."""
    listed = {one.referrer.digest: one.referrer for one in found if one.referrer.subject == subject}
    entries = [
        {**listed[digest].manifest.to_json(), "artifactType": listed[digest].artifact_type}
        for digest in sorted(listed)
        if not listed[digest].tag
    ]
    return canonical.encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


def _by_repository(found: Mapping[Reference, Iterable[FoundReferrer]]) -> dict[Reference, list[FoundReferrer]]:
    """Put together what images of one repository have, for the packed registry knows no hosts.

    Raises: PackingError where one tag of cosign's would mean two things.
    """
    together: dict[str, dict[tuple[Digest, Digest], FoundReferrer]] = {}
    tags: dict[tuple[str, str], tuple[Digest, Reference]] = {}
    for image in sorted(found, key=str):
        for one in found[image]:
            referrer = one.referrer
            digest, first = tags.setdefault((image.repository, referrer.tag), (referrer.digest, image))
            if referrer.tag and digest != referrer.digest:
                raise PackingError(
                    f"{first} and {image} have other signatures under one tag, {referrer.tag}",
                    hint=f"leave one of them out: --ignore-image {familiar(image)}; or --referrers none",
                )
            together.setdefault(image.repository, {})[referrer.digest, referrer.subject] = one
    return {image: _about(together.get(image.repository, {}), found[image]) for image in found}


def _about(there: Mapping[tuple[Digest, Digest], FoundReferrer], own: Iterable[FoundReferrer]) -> list[FoundReferrer]:
    """Return what refers to the subjects of an image's ``own`` artefacts, whichever image brought it."""
    subjects = {one.referrer.subject for one in own}
    return [there[key] for key in sorted(there) if key[1] in subjects]


__all__ = ["ReferrerPacker"]
