"""Images in registries: manifests are fetched, blobs are read by ranges, and nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, cast

from kubeimage.errors import ImageNotFoundError, RegistryContentError, RegistryError, RegistryNotFoundError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import LARGEST_DOCUMENT, Descriptor
from kubeimage.image.reference import Naming, Reference
from kubeimage.image.referrers import ReferrerChoice
from kubeimage.image.referring import FoundReferrer, Referrers
from kubeimage.registry.client import Repository
from kubeimage.registry.ranges import RangeFile
from kubeimage.registry.referrers import RepositoryReferrers
from kubeimage.registry.registries import Registries

_DOCKER_HUB = Naming("docker.io", "library")


def parse_remote_name(name: str) -> Reference:
    """Read what stands behind ``docker://``; a name without a host is Docker Hub's, as for skopeo.

    Raises: ReferenceFormatError.
    """
    return _DOCKER_HUB.parse(name)


class RegistrySource:
    """One image of a registry, read from the first of its places that has it."""

    def __init__(self, reference: Reference, registries: Registries) -> None:
        self.where = f"docker://{reference}"
        self.fetched = 0
        self._reference = reference
        self._places = registries.sources(reference)
        self._documents: dict[Digest, bytes] = {}

    def read_top(self) -> bytes:
        """Return what the tag or digest leads to.

        Raises: ImageNotFoundError where no place has it; RegistryError, CredentialsError.
        """
        tag = self._reference.digest or self._reference.tag
        while True:
            try:
                data, digest = self.place.get_manifest(tag)
            except RegistryError as error:
                if len(self._places) > 1:
                    del self._places[0]
                    continue
                if isinstance(error, RegistryNotFoundError):
                    raise ImageNotFoundError(
                        f"no image {self._reference} in its registry", hint="check the name and the tag"
                    ) from error
                raise
            self.fetched += len(data)
            self._documents[digest] = data
            return data

    def read_document(self, descriptor: Descriptor) -> bytes:
        """Return a manifest, or a config."""
        if descriptor.digest not in self._documents:
            self._documents[descriptor.digest] = self._fetch(descriptor)
        return self._documents[descriptor.digest]

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Open a blob, whose bytes are fetched as they are read."""
        return cast("BinaryIO", RangeFile(self.place, descriptor, self._arrived))

    def referrers(self) -> list[Referrers]:
        """Return what refers to the image at each of its places; of it, signatures alone are fetched."""
        return [RepositoryReferrers(one, ReferrerChoice(("signature",))) for one in self._places]

    def find_referrers(self, subjects: Sequence[Digest], choice: ReferrerChoice) -> list[FoundReferrer]:
        """Return what refers to manifests of the image there, and to that in turn."""
        return RepositoryReferrers(self.place, choice).walk(subjects)

    def close(self) -> None:
        """Do nothing: the connections belong to who made them."""

    @property
    def place(self) -> Repository:
        """Where the image is read from."""
        return self._places[0]

    def _fetch(self, descriptor: Descriptor) -> bytes:
        if "config" not in descriptor.media_type and "container.image" not in descriptor.media_type:
            data, _ = self.place.get_manifest(descriptor.digest)
            self.fetched += len(data)
            return data
        if descriptor.size > LARGEST_DOCUMENT:
            raise RegistryContentError(f"{self.place}: the config {descriptor.digest} has {descriptor.size} bytes")
        with RangeFile(self.place, descriptor, self._arrived, first=max(descriptor.size, 1)) as stream:
            data = stream.read()
        if Digest.of(data) != descriptor.digest:
            raise RegistryContentError(f"{self.place}: the config {descriptor.digest} has other bytes")
        return data

    def _arrived(self, count: int) -> None:
        self.fetched += count
