"""Where records and layers lie: one repository of a registry, or an OCI layout in a folder.

Source: OCI distribution-spec 1.1, image-spec 1.1 ("Image Layout").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from kubeimage.errors import RegistryContentError, RegistryNotFoundError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import MANIFEST
from kubeimage.image.oci import Descriptor
from kubeimage.registry.client import Repository
from kubeimage.registry.download import Download
from kubeimage.registry.upload import upload_blob


class Shelf(Protocol):
    """Keeps manifests under tags, and blobs under digests. Any number of threads may use it."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...

    @property
    def repository(self) -> str:
        """What records are signed for: ``HOST/REPOSITORY``, or ``oci`` for a folder, which may be moved."""
        ...

    def get(self, tag: str) -> bytes | None:
        """Return the manifest under a tag; None where there is none.

        Raises: RegistryError, StoreError.
        """
        ...

    def put(self, tag: str, data: bytes) -> None:
        """Put a manifest under a tag; its blobs are there.

        Raises: RegistryError, StoreError.
        """
        ...

    def has_blob(self, blob: Descriptor) -> bool:
        """Return whether the blob is there.

        Raises: RegistryError, StoreError.
        """
        ...

    def read_blob(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield the blob's bytes, as many as its descriptor says; whoever takes them compares the digest.

        Raises: RegistryError, StoreError.
        """
        ...

    def put_blob(self, blob: Descriptor, open_blob: Callable[[], BinaryIO]) -> None:
        """Put a blob that is not there yet.

        Raises: RegistryError, StoreError.
        """
        ...

    def tags(self) -> list[str]:
        """Return all tags.

        Raises: RegistryError, StoreError.
        """
        ...

    def delete(self, manifest: Digest) -> None:
        """Take a manifest away.

        Raises: RegistryError, StoreError; where the registry does not allow it as well.
        """
        ...


class RegistryShelf:
    """One repository of a registry."""

    def __init__(self, repository: Repository) -> None:
        self.registry = repository

    @property
    def name(self) -> str:
        """The registry's host and the repository."""
        return str(self.registry)

    @property
    def repository(self) -> str:
        """The same: what is signed for one repository is of no worth in another."""
        return str(self.registry)

    def get(self, tag: str) -> bytes | None:
        """Return the manifest under a tag.

        Raises: RegistryError.
        """
        try:
            return self.registry.get_manifest(tag)[0]
        except RegistryNotFoundError:
            return None

    def put(self, tag: str, data: bytes) -> None:
        """Put a manifest under a tag.

        Raises: RegistryError.
        """
        self.registry.put_manifest(tag, MANIFEST, data)

    def has_blob(self, blob: Descriptor) -> bool:
        """Return whether the blob is there.

        Raises: RegistryError.
        """
        return self.registry.has_blob(blob.digest, blob.size)

    def read_blob(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield the blob's bytes; broken off, they go on where they were.

        Raises: RegistryError.
        """
        return iter(Download(self.registry, blob, lambda _done: None))

    def put_blob(self, blob: Descriptor, open_blob: Callable[[], BinaryIO]) -> None:
        """Put a blob, unless it is there.

        Raises: RegistryError.
        """
        if not self.has_blob(blob):
            upload_blob(self.registry, blob, open_blob, lambda _done: None, None)

    def tags(self) -> list[str]:
        """Return all tags, as many pages as there are.

        Raises: RegistryError.
        """
        return self.registry.list_tags()

    def delete(self, manifest: Digest) -> None:
        """Take a manifest away, by its digest: so goes every tag that leads to it.

        Raises: RegistryError.
        """
        self.registry.delete_manifest(manifest)


def read_small_blob(shelf: Shelf, blob: Descriptor, limit: int) -> bytes:
    """Return a blob of at most ``limit`` bytes, once its digest is found good.

    Raises: RegistryContentError for another one; RegistryError, StoreError.
    """
    if blob.size > limit:
        raise RegistryContentError(f"{shelf.name}: the blob {blob.digest} is said to have {blob.size} bytes")
    data = b"".join(shelf.read_blob(blob))
    if Digest.of(data) != blob.digest:
        raise RegistryContentError(f"{shelf.name}: the blob {blob.digest} holds other bytes than it should")
    return data


__all__ = ["RegistryShelf", "Shelf", "read_small_blob"]
