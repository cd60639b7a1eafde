"""How far the fetching of container images is, image by image and byte by byte."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from kubeimage.discovery.references import familiar
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.packing.layout import Contents
from kubeimage.registry.events import ImageFetched, PackingProgress, TransferEvent


class Countdown:
    """Tells how much has come, and which images are whole, as their last blob arrives.

    Shape: ``wanted`` are the blobs to come, with their sizes in bytes.
    """

    def __init__(
        self, contents: Sequence[Contents], wanted: Mapping[Digest, int], tell: Callable[[TransferEvent], None]
    ) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._missing = {one.image: {blob.digest for blob in one.layers if blob.digest in wanted} for one in contents}
        self._sizes = {one.image: sum(blob.size for blob in one.layers) for one in contents}
        self._total = sum(wanted.values())
        self._done: dict[Digest, int] = {}
        self._sum = 0
        self._whole = 0
        for image in self._missing:
            self._tell_if_whole(image)

    def progressed(self, image: Reference, digest: Digest, done: int) -> None:
        """Take note of how many bytes of a blob are there, which is fetched for an image."""
        with self._lock:
            self._count(digest, done)
            self._tell(PackingProgress(familiar(image), self._whole, len(self._missing), self._sum, self._total))

    def arrived(self, digest: Digest, size: int) -> None:
        """Count a blob that is there."""
        with self._lock:
            self._count(digest, size)
            for image, missing in self._missing.items():
                if digest in missing:
                    missing.remove(digest)
                    self._tell_if_whole(image)

    def _count(self, digest: Digest, done: int) -> None:
        self._sum += done - self._done.get(digest, 0)
        self._done[digest] = done

    def _tell_if_whole(self, image: Reference) -> None:
        if not self._missing[image]:
            self._whole += 1
            self._tell(ImageFetched(familiar(image), self._whole, len(self._missing), self._sizes[image]))
