"""What is asked of a place that an image is read from, be it a folder, an archive or a registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, Protocol

from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.referrers import ReferrerChoice
from kubeimage.image.referring import FoundReferrer, Referrers


class ImageSource(Protocol):
    """One image where it lies. Nothing of it is unpacked, and nothing is kept."""

    @property
    def where(self) -> str:
        """Where it lies, for people."""
        ...

    @property
    def fetched(self) -> int:
        """How many bytes of manifests and blobs came over a network so far."""
        ...

    def read_top(self) -> bytes:
        """Return the manifest or index that the image's name leads to.

        Raises: ImageNotFoundError, ArchiveError, RegistryError.
        """
        ...

    def read_document(self, descriptor: Descriptor) -> bytes:
        """Return a manifest, an index or a config; its digest is verified.

        Raises: BlobNotFoundError, BlobCorruptError; RegistryError.
        """
        ...

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Open a blob as it is stored there. It can seek; the caller closes it. Nothing is verified.

        Raises: BlobNotFoundError; RegistryError.
        """
        ...

    def referrers(self) -> Sequence[Referrers]:
        """Return the places where what refers to the image may lie; none where nothing is kept beside it."""
        ...

    def find_referrers(self, subjects: Sequence[Digest], choice: ReferrerChoice) -> list[FoundReferrer]:
        """Return what refers to manifests of the image, and to that in turn, as far as it is wanted.

        Raises: ArchiveError, RegistryError.
        """
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...
