"""A whole image to a registry: layers and configs, several at once, then manifests, and the tag last.

What the registry has is not sent. Layers that are still to be compressed are, while others are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple

from kubeimage.errors import RegistryAuthError, RegistryConnectionError, RegistryError
from kubeimage.image.oci import Descriptor
from kubeimage.protocols.transfer import Departure, Lender, RawLayer, WireImage, told_of_left
from kubeimage.registry.client import Repository, Upload
from kubeimage.registry.events import (
    BlobFinished,
    BlobProgress,
    ReferrerFinished,
    TransferFinished,
    TransferObserver,
    TransferStarted,
    TransferWarned,
)
from kubeimage.registry.growing import GrowingUpload
from kubeimage.registry.upload import upload_blob
from kubeimage.registry.workers import run_all

_LARGE = 16 << 20
"""Bytes of a layer that is sent while it is compressed: a smaller one is compressed before much could be sent."""

_COMPRESSORS = 2
"""Layers that are compressed at once: each takes some ten MB and more than one core."""


class Push(NamedTuple):
    """One image on its way from a store into a repository.

    Shape: ``stop`` ends what other threads do, and ``is_stopped`` says that it was called. ``find_lender`` gives
           who lends blobs, or None; it is asked only if blobs are missing.
    """

    repository: Repository
    tag: str
    departure: Departure
    observe: TransferObserver
    stop: Callable[[], None]
    is_stopped: Callable[[], bool]
    find_lender: Callable[[], Lender | None]

    def run(self) -> WireImage:
        """Send what is not there yet, then give the image its tag.

        Raises: RegistryError; StoreError where the image is damaged.
        """
        name = f"{self.repository}:{self.tag}"
        self.observe(TransferStarted("push", name, str(self.repository)))
        raw = self.departure.raw
        lender = self.find_lender() if raw else None
        run_all([partial(self._compress_and_send, layer, lender) for layer in raw], self.stop, _COMPRESSORS)
        image = self.departure.finish()
        self._check_absent(image)
        is_there = not raw and self._has_all(image)
        if is_there:
            for blob in image.blobs:
                self._finish(blob, None, moved=False)
        else:
            self._send_all(image, raw, lender)
        if image.referrers or image.left:
            self._put_referrers(image)
        if not is_there:
            self.repository.put_manifest(self.tag, image.top.media_type, image.data)
        self.observe(TransferFinished("push", name, image.top.digest))
        return image

    def _has_all(self, image: WireImage) -> bool:
        """Return whether the registry has the image under its tag already: one question a manifest, and none a blob.

        Source: OCI distribution-spec v1.1, "Pushing Manifests": what a manifest names is there before it is.
        """
        inner = image.documents if image.is_index else ()
        return self.repository.find_digest(self.tag) == image.top.digest and all(
            self.repository.has_manifest(one.descriptor.digest) for one in inner
        )

    def _send_all(self, image: WireImage, raw: Sequence[RawLayer], lender: Lender | None) -> None:
        done = {self.departure.blob_of(layer).digest for layer in raw}
        missing = self._find_missing([blob for blob in image.blobs if blob.digest not in done])
        lender = lender or (self.find_lender() if missing else None)
        run_all([partial(self._send, blob, lender) for blob in missing], self.stop)
        self._put_inner(image)

    def _compress_and_send(self, layer: RawLayer, lender: Lender | None) -> None:
        arrived = False
        with closing(self.departure.compress(layer)) as pieces:
            if layer.size >= _LARGE:
                arrived = self._send_growing(layer, pieces)
            else:
                self._take_all(pieces)
        blob = self.departure.blob_of(layer)
        if arrived:
            self._finish(blob, layer, moved=True)
        elif not self._is_there(blob, layer):
            self._send(blob, lender, layer)

    def _send_growing(self, layer: RawLayer, pieces: Iterator[bytes]) -> bool:
        """Send a layer while it is compressed, unless the registry turns out to have it; tell whether it has gone."""
        next(pieces, None)
        upload = GrowingUpload(self.repository, self.departure.open_growing(layer), partial(self._tell, layer))
        upload.start()
        try:
            self._take_all(pieces)
            blob = self.departure.blob_of(layer)
            upload.end(None if self.repository.has_blob(blob.digest, blob.size) else blob)
        except BaseException:
            upload.end(None)
            raise
        finally:
            upload.join()
        return upload.arrived

    def _take_all(self, pieces: Iterator[bytes]) -> None:
        """Compress a layer to its end.

        Raises: RegistryConnectionError where that is not wanted any more.
        """
        for _ in pieces:
            if self.is_stopped():
                raise RegistryConnectionError("stopped")

    def _tell(self, layer: RawLayer, done: int) -> None:
        # Its blob has no digest and no size yet; what is compressed is not much larger than what is not.
        self.observe(BlobProgress("push", layer.diff_id, done, max(done, layer.size)))

    def _find_missing(self, blobs: Sequence[Descriptor]) -> list[Descriptor]:
        missing: list[Descriptor] = []

        def look(blob: Descriptor) -> None:
            if not self._is_there(blob):
                missing.append(blob)

        run_all([partial(look, blob) for blob in blobs], self.stop)
        return missing

    def _is_there(self, blob: Descriptor, layer: RawLayer | None = None) -> bool:
        there = self.repository.has_blob(blob.digest, blob.size)
        if there:
            self._finish(blob, layer, moved=False)
        return there

    def _finish(self, blob: Descriptor, layer: RawLayer | None, *, moved: bool, mounted: bool = False) -> None:
        diff_id = layer.diff_id if layer is not None else None
        self.observe(BlobFinished("push", blob.digest, blob.size, moved, mounted, diff_id))

    def _send(self, blob: Descriptor, lender: Lender | None, layer: RawLayer | None = None) -> None:
        place = lender(blob.digest) if lender is not None else None
        start = self._mount(blob, place) if place is not None else self.repository.start_upload()
        if start is not None:
            upload_blob(
                self.repository,
                blob,
                lambda: self.departure.open_blob(blob),
                lambda done: self.observe(BlobProgress("push", blob.digest, done, blob.size)),
                start,
            )
        self._finish(blob, layer, moved=start is not None, mounted=start is None)

    def _mount(self, blob: Descriptor, lender: str) -> Upload | None:
        try:
            return self.repository.mount_blob(blob.digest, lender)
        except RegistryAuthError:
            # Who may not read there can still send the blob.
            return self.repository.start_upload()

    def _check_absent(self, image: WireImage) -> None:
        """Find out whether the registry has those images of an index that the store does not have."""
        for descriptor in image.absent:
            if not self.repository.has_manifest(descriptor.digest):
                raise RegistryError(
                    f"{self.repository} cannot get the whole index: the store has no image for "
                    f"{descriptor.platform or descriptor.digest}",
                    hint="pull that platform as well, or push one with --platform",
                )

    def _put_inner(self, image: WireImage) -> None:
        if image.is_index:
            for manifest in image.documents:
                self.repository.put_manifest(manifest.descriptor.digest, manifest.descriptor.media_type, manifest.data)

    def _put_referrers(self, image: WireImage) -> None:
        """Send what refers to the image before the tag leads to it: who finds the tag finds its signatures."""
        from kubeimage.registry.referrers import RepositoryReferrers

        place = RepositoryReferrers(self.repository)
        if image.referrers:
            self.repository.put_manifest(image.top.digest, image.top.media_type, image.data)
        for one in image.referrers:
            place.put(one, self.departure.open_blob)
            referrer = one.referrer
            self.observe(ReferrerFinished("push", referrer.label, referrer.digest, referrer.subject))
        if image.left:
            self.observe(TransferWarned(told_of_left(image)))
