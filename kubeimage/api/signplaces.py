"""The places that signatures are added to: the store, and a repository of a registry."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

from kubeimage.api.backends import Backends
from kubeimage.errors import KubeimageError, SignatureError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Index, parse_document
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import cosign_tag, read_referrer
from kubeimage.image.referring import FoundReferrer
from kubeimage.registry.client import Repository
from kubeimage.registry.referrers import RepositoryReferrers
from kubeimage.registry.registries import Registries
from kubeimage.signing.places import SIGNATURES
from kubeimage.signing.sigtag import Artifact
from kubeimage.sources.names import parse_source_name
from kubeimage.sources.remote import parse_remote_name
from kubeimage.store.referrers import StoreReferrers

_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)


class StorePlace:
    """The store; ``image`` is its own manifest or index that what is signed belongs to."""

    def __init__(self, referrers: StoreReferrers, image: Digest) -> None:
        self.referrers = referrers
        self._image = image

    def put_signatures(self, subject: Digest, artifact: Artifact, before: bytes | None) -> None:
        """Keep cosign's manifest of the signatures of an image in the place of the one ``before``, if it is there."""
        contents = {described.digest: data for described, data in artifact.blobs}
        self.referrers.add(
            artifact.data,
            subject,
            contents,
            tag=cosign_tag(subject, "sig"),
            image=self._image,
            seen=[Digest.of(before)] if before is not None else [],
        )


class RepositoryPlace:
    """A repository of a registry."""

    def __init__(self, repository: Repository) -> None:
        self.referrers = RepositoryReferrers(repository, SIGNATURES)

    def put_signatures(self, subject: Digest, artifact: Artifact, before: bytes | None) -> None:  # noqa: ARG002
        """Put cosign's manifest of the signatures of an image; what would be lost of another one is an error."""
        contents = {described.digest: data for described, data in artifact.blobs}
        referrer, read = read_referrer(artifact.data, subject, cosign_tag(subject, "sig"))
        # What was there before is there still: only what is new has to be sent.
        new = tuple(one for one in read.blobs if one.digest in contents)
        self.referrers.put(FoundReferrer(referrer, artifact.data, new), lambda blob: io.BytesIO(contents[blob.digest]))

    def children(self, data: bytes) -> list[Digest]:
        """Return the manifests that an index lists; none for a manifest.

        Raises: SignatureError for what is neither.
        """
        try:
            document = parse_document(data)
        except _BAD as error:
            raise SignatureError(f"what is to be signed is no image: {error}") from error
        return [one.digest for one in document.manifests] if isinstance(document, Index) else []


@contextmanager
def open_repository(name: str, backends: Backends) -> Iterator[tuple[Reference, Repository]]:
    """Yield what a ``docker://`` name says, and its own registry's repository, to be written to.

    Raises: ReferenceFormatError, SettingsError.
    """
    reference = parse_remote_name(parse_source_name(name).name)
    with Registries(backends.known_settings()) as registries:
        yield reference, registries.repository(reference, writable=True)
