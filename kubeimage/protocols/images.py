"""What the executor asks of the store of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.values import dataclass


@dataclass(frozen=True)
class ImageRecord:
    """A name and what it names.

    Shape: ``reference`` None for an image that has lost its name. ``manifest`` is the digest of the image's manifest.
    """

    reference: Reference | None
    platform: Platform
    manifest: Digest
    image_id: Digest

    @property
    def place(self) -> tuple[bool, str, Platform, Digest]:
        """Return what records are sorted by: name, platform and manifest; those without a name come last."""
        return self.reference is None, str(self.reference), self.platform, self.manifest


class ImageStore(Protocol):
    """Keeps images under their names."""

    def put(self, image: Image, references: Sequence[Reference] = ()) -> Digest:
        """Keep ``image`` and name it; a name that is taken moves. Gives the manifest's digest.

        This is the one commit point of a build: before it the store shows nothing of the image.
        Raises: StoreFullError, StoreAccessError.
        """
        ...

    def put_index(self, images: Sequence[Image], references: Sequence[Reference] = ()) -> Digest:
        """Keep images for several platforms as one, and name it, all at once. Gives the index's digest.

        Raises: as ``put`` does.
        """
        ...

    def get(self, reference: Reference, platform: Platform | None = None) -> Image | None:
        """Return the image of that name (for that platform), or None.

        Raises: BlobNotFoundError, BlobCorruptError where the name leads to a damaged image.
        """
        ...

    def find(self, image_id: str) -> Image | None:
        """Return the image whose id starts with ``image_id`` (at least 6 hex characters), if it is the only one."""
        ...

    def records(self, reference: Reference | None = None) -> list[ImageRecord]:
        """Every name and platform, sorted by `ImageRecord.place`; with a ``reference``, only those of that name."""
        ...

    def tag(self, source: Reference, target: Reference) -> None:
        """Add another name to the image.

        Raises: ImageNotFoundError.
        """
        ...

    def remove(self, reference: Reference, platform: Platform | None = None) -> list[Digest]:
        """Take a name away, and give the digests of the blobs that went with it.

        With a ``platform``, the name keeps what it has for other platforms.

        Raises: ImageNotFoundError.
        """
        ...
