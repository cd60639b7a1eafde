"""What refers to the images of a repository: found, fetched and put, by the API or by tags where that is missing.

Source: OCI distribution-spec v1.1, "Listing Referrers", "Pushing Manifests with Subject", "Referrers Tag Schema".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import BinaryIO

from kubeimage.errors import KubeimageError, RegistryContentError, RegistryNotFoundError
from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.fields import objects, optional, required, strings
from kubeimage.image.media_types import INDEX
from kubeimage.image.oci import Descriptor
from kubeimage.image.referrers import (
    ALL_REFERRERS,
    Artifact,
    Referrer,
    ReferrerChoice,
    cosign_tags,
    fallback_tag,
    read_referrer,
)
from kubeimage.image.referring import LARGEST_CONTENT, FoundReferrer, read_artifact, walk_referrers
from kubeimage.protocols.watching import ignore
from kubeimage.registry.client import Repository
from kubeimage.registry.download import Download
from kubeimage.registry.upload import upload_blob
from kubeimage.registry.workers import run_all

_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)
_ATTEMPTS = 3

OpenBlob = Callable[[Descriptor], BinaryIO]


class RepositoryReferrers:
    """The artefacts of one repository; of one subject several may be asked for at once.

    Shape: ``choice`` is what is wanted; the rest is not fetched. ``stop`` ends what other threads do.
    """

    def __init__(
        self,
        repository: Repository,
        choice: ReferrerChoice = ALL_REFERRERS,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._repository = repository
        self._choice = choice
        self._stop = stop

    def list_referrers(self, subject: Digest) -> list[Referrer]:
        """Return what refers to a manifest or index, in the order of digests; not what refers to that in turn.

        Raises: RegistryError; RegistryContentError where the registry lists what it does not have, or what refers to
            something else.
        """
        return [one.referrer for one in self.find(subject)]

    def walk(self, subjects: Sequence[Digest]) -> list[FoundReferrer]:
        """Return what refers to ``subjects``, and what refers to that in turn, with all that it consists of.

        Raises: as ``list_referrers``; RegistryContentError where there are too many, or one refers to itself.
        """
        try:
            return walk_referrers(subjects, self._list_level)
        except ValueError as error:
            raise RegistryContentError(f"{self._repository}: what refers to the image: {error}") from error

    def find(self, subject: Digest) -> list[FoundReferrer]:
        """Return what refers to a manifest or index, with all that it consists of; no blob is fetched.

        Raises: as ``list_referrers``.
        """
        if not self._choice:
            return []
        found = {one.referrer.digest: one for one in self._listed(subject)}
        for tag in cosign_tags(subject):
            one = self._under_tag(subject, tag) if self._choice.takes_tag(tag) else None
            if one is not None:
                found.setdefault(one.referrer.digest, one)
        return [found[digest] for digest in sorted(found)]

    def read_manifest(self, digest: Digest) -> bytes:
        """Return the manifest of an artefact, verified.

        Raises: RegistryError.
        """
        return self._repository.get_manifest(digest)[0]

    def read_blob(self, blob: Descriptor) -> bytes:
        """Return a blob of an artefact, verified.

        Raises: RegistryError; RegistryContentError for other bytes, or more than are read at once.
        """
        if blob.size > LARGEST_CONTENT:
            raise RegistryContentError(f"{self._repository}: the blob {blob.digest} has {blob.size} bytes")
        data = b"".join(self.open_blob(blob))
        if Digest.of(data) != blob.digest:
            raise RegistryContentError(f"{self._repository}: the blob {blob.digest} holds other bytes than it should")
        return data

    def open_blob(self, blob: Descriptor, arrived: Callable[[int], None] = ignore) -> Download:
        """Return the bytes of a blob in pieces; who takes them compares the digest."""
        return Download(self._repository, blob, arrived)

    def put(self, found: FoundReferrer, open_blob: OpenBlob, sent: Callable[[int], None] = ignore) -> None:
        """Send an artefact: its blobs, then its manifest under its digest or tag, and list it where the registry won't.

        Raises: RegistryError; RegistryContentError where cosign's tag leads there to something that would be lost.
        """
        for blob in found.blobs:
            if not self._repository.has_blob(blob.digest, blob.size):
                upload_blob(self._repository, blob, partial(open_blob, blob), sent, None)
        for listed, data in found.inner:
            self._repository.put_manifest(listed.digest, listed.media_type, data)
        manifest, tag = found.referrer.manifest, found.referrer.tag
        if tag:
            self._check_tag(found)
            self._repository.put_manifest(tag, manifest.media_type, found.data)
        elif self._repository.put_manifest(manifest.digest, manifest.media_type, found.data) != found.referrer.subject:
            self._list_by_tag(found.referrer)

    def _list_level(self, level: Sequence[Digest]) -> list[FoundReferrer]:
        found: dict[Digest, list[FoundReferrer]] = {}

        def find(subject: Digest) -> None:
            found[subject] = self.find(subject)

        run_all([partial(find, subject) for subject in level], self._stop)
        return [one for subject in level for one in found[subject]]

    def _listed(self, subject: Digest) -> Iterator[FoundReferrer]:
        """Find what is listed by the API, or else by the tag."""
        listed = self._repository.list_referrers(subject, self._choice.only_type)
        if listed is None:
            listed = self._read_index(subject)
        for one in listed:
            found = self._fetch_listed(subject, one)
            if found is not None:
                yield found

    def _fetch_listed(self, subject: Digest, value: JsonObject) -> FoundReferrer | None:
        """Fetch one of a list; None where it is not wanted, which the list may say and the manifest does say."""
        try:
            listed = Descriptor.from_json(value)
            said, annotations = optional(value, "artifactType", str), strings(optional(value, "annotations", dict))
        except _BAD as error:
            raise self._wrong(f"what is listed as referring to {subject} is no descriptor: {error}") from error
        if said and not self._choice.takes(said, "", annotations):
            return None
        try:
            data = self.read_manifest(listed.digest)
        except RegistryNotFoundError as error:
            raise self._wrong(f"{listed.digest} is listed as referring to {subject}, and is not there") from error
        return self._read(data, subject, "")

    def _under_tag(self, subject: Digest, tag: str) -> FoundReferrer | None:
        try:
            data, _ = self._repository.get_manifest(tag)
        except RegistryNotFoundError:
            return None
        return self._read(data, subject, tag)

    def _read(self, data: bytes, subject: Digest, tag: str) -> FoundReferrer | None:
        try:
            referrer, _ = read_referrer(data, subject, tag)
            if not self._choice.takes(referrer.artifact_type, referrer.tag, referrer.manifest.annotations):
                return None
            return read_artifact(data, referrer, lambda inner: self.read_manifest(inner.digest))
        except ValueError as error:
            raise self._wrong(f"{tag or Digest.of(data)} is not what refers to {subject}: {error}") from error

    def _read_index(self, subject: Digest) -> list[JsonObject]:
        """Return what the tag lists; nothing where there is no such tag."""
        try:
            data, _ = self._repository.get_manifest(fallback_tag(subject))
        except RegistryNotFoundError:
            return []
        try:
            return objects(required(canonical.decode(data), "manifests", list), "manifests")
        except _BAD as error:
            raise self._wrong(f"{fallback_tag(subject)} is no list of what refers to an image: {error}") from error

    def _list_by_tag(self, referrer: Referrer) -> None:
        """Add an artefact to the list under the tag, as the specification asks of clients.

        Two that do so at once may overwrite each other, so what was put is looked at again.
        """
        manifest = referrer.manifest
        entry = {**manifest.to_json(), "artifactType": referrer.artifact_type}
        for _ in range(_ATTEMPTS):
            listed = self._read_index(referrer.subject)
            if any(one.get("digest") == str(manifest.digest) for one in listed):
                return
            value: JsonObject = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*listed, entry]}
            self._repository.put_manifest(fallback_tag(referrer.subject), INDEX, canonical.encode(value))
        raise self._wrong(f"{manifest.digest} cannot be listed: somebody else keeps writing that list")

    def _check_tag(self, found: FoundReferrer) -> None:
        """Make sure that all that cosign's tag leads to now is in what it is to lead to."""
        try:
            data, digest = self._repository.get_manifest(found.referrer.tag)
        except RegistryNotFoundError:
            return
        if digest == found.referrer.digest:
            return
        try:
            there, ours = Artifact.from_bytes(data), Artifact.from_bytes(found.data)
        except _BAD as error:
            raise self._wrong(f"{found.referrer.tag} leads to what is no artefact: {error}") from error
        kept = {one.digest for one in (*ours.blobs, *ours.manifests)}
        lost = [one for one in (*there.blobs[1:], *there.manifests) if one.digest not in kept]
        if lost:
            raise RegistryContentError(
                f"{self._repository}:{found.referrer.tag} holds {len(lost)} that would be lost: {lost[0].digest}",
                hint="pull the image with --referrers all first, and sign again; or leave them out: --referrers none",
            )

    def _wrong(self, what: str) -> RegistryContentError:
        return RegistryContentError(f"{self._repository}: {what}")


__all__ = ["RepositoryReferrers"]
