"""A whole image to a registry: layers and configs, several at once, then manifests, and the tag last.

What the registry has is not sent. Layers that are still to be compressed are, while others are sent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kubeimage.errors import RegistryError
from kubeimage.image.oci import Descriptor
from kubeimage.registry.client import Repository
from kubeimage.registry.events import (
    BlobFinished,
    BlobProgress,
    TransferFinished,
    TransferObserver,
    TransferStarted,
    one_at_a_time,
)
from kubeimage.registry.upload import upload_blob
from kubeimage.registry.workers import run_all
from kubeimage.transfer import Departure, RawLayer, WireImage


class Push:
    """One image on its way from a store into a repository.

    Shape: ``lender`` is another repository of the registry from which it may take blobs (blob mount).
    """

    def __init__(
        self,
        repository: Repository,
        tag: str,
        departure: Departure,
        observe: TransferObserver,
        stop: Callable[[], None],
        *,
        lender: str | None = None,
    ) -> None:
        self._repository = repository
        self._tag = tag
        self._departure = departure
        self._observe = one_at_a_time(observe)
        self._stop = stop
        self._lender = lender

    def run(self) -> WireImage:
        """Send what is not there yet, then give the image its tag.

        Raises: RegistryError; StoreError where the image is damaged.
        """
        name = f"{self._repository}:{self._tag}"
        self._observe(TransferStarted("push", name, str(self._repository)))
        raw = self._departure.raw
        run_all([partial(self._compress_and_send, layer) for layer in raw], self._stop)
        image = self._departure.finish()
        sent = {self._departure.blob_of(layer).digest for layer in raw}
        run_all([partial(self._send, blob) for blob in image.blobs if blob.digest not in sent], self._stop)
        self._put_manifests(image)
        self._observe(TransferFinished("push", name, image.top.digest))
        return image

    def _compress_and_send(self, layer: RawLayer) -> None:
        for _ in self._departure.compress(layer):
            pass
        self._send(self._departure.blob_of(layer))

    def _send(self, blob: Descriptor) -> None:
        if self._repository.has_blob(blob.digest, blob.size):
            self._observe(BlobFinished("push", blob.digest, blob.size, moved=False))
            return
        start = self._repository.start_upload(blob.digest, self._lender)
        if start is not None:
            upload_blob(
                self._repository,
                blob,
                lambda: self._departure.open_blob(blob),
                lambda done: self._observe(BlobProgress("push", blob.digest, done, blob.size)),
                start,
            )
        self._observe(BlobFinished("push", blob.digest, blob.size, moved=start is not None, mounted=start is None))

    def _put_manifests(self, image: WireImage) -> None:
        for descriptor in image.absent:
            if self._repository.head_manifest(descriptor.digest) is None:
                raise RegistryError(
                    f"{self._repository} cannot get the whole index: the store has no image for "
                    f"{descriptor.platform or descriptor.digest}",
                    hint="pull that platform as well, or push one with --platform",
                )
        if image.is_index:
            for manifest in image.manifests:
                self._repository.put_manifest(manifest.descriptor.digest, manifest.descriptor.media_type, manifest.data)
        self._repository.put_manifest(self._tag, image.top.media_type, image.data)
