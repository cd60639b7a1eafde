"""A whole image from a registry: manifests first, then configs, then layers, several at once.

A tag is looked up once; from then on everything is asked for by digest, so that a tag that moves mixes nothing. All of
it is verified by whoever takes it in, and nothing is published before all of it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from kubeimage.errors import (
    BlobCorruptError,
    KubeimageError,
    LayerError,
    PlatformMismatchError,
    RegistryContentError,
)
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import CONFIGS, INDEXES
from kubeimage.image.oci import (
    LARGEST_DOCUMENT,
    Descriptor,
    Index,
    Manifest,
    leaves,
    parse_document,
    platform_from_json,
)
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import NO_REFERRERS, ReferrerChoice
from kubeimage.protocols.transfer import Arrival, Importer
from kubeimage.registry.client import Repository
from kubeimage.registry.download import Download
from kubeimage.registry.events import (
    BlobFinished,
    BlobProgress,
    ReferrerFinished,
    TransferFinished,
    TransferObserver,
    TransferStarted,
    TransferWarned,
)
from kubeimage.registry.workers import run_all

if TYPE_CHECKING:
    from kubeimage.registry.trusting import PullTrust
PutBlob = Callable[[Descriptor, Download], None]

_BAD_DOCUMENT = (ValueError, KeyError, TypeError, AttributeError, KubeimageError)


class Pull(NamedTuple):
    """One image on its way from a repository into a store.

    Shape: ``platforms`` are those wanted; with none, all that there are. ``stop`` ends what other threads do.
           ``trust`` is the policy that the image is held against, None where there is none.
    """

    repository: Repository
    reference: Reference
    platforms: Sequence[Platform]
    importer: Importer
    observe: TransferObserver
    stop: Callable[[], None]
    referrers: ReferrerChoice = NO_REFERRERS
    trust: PullTrust | None = None

    def run(self) -> Arrival:
        """Fetch what is not there yet, and give the image its name.

        Raises: RegistryError; PlatformMismatchError where it is not for a wanted platform; TrustError where the policy
            refuses it; what the importer raises.
        """
        name = str(self.reference)
        self.observe(TransferStarted("pull", name, str(self.repository)))
        data, digest = self.repository.get_manifest(self.reference.digest or self.reference.tag)
        kept = self._fetch_manifests(data, digest)
        manifests = [one for one in kept.values() if isinstance(one, Manifest)]
        if self.trust is not None:
            self.trust.check(data)
        blobs = _unique(blob for manifest in manifests for blob in (manifest.config, *manifest.layers))
        configs = {manifest.config.digest for manifest in manifests}
        self._fetch_all([blob for blob in blobs if blob.digest in configs])
        self._fetch_all([blob for blob in blobs if blob.digest not in configs])
        if self.referrers:
            self._fetch_referrers([*dict.fromkeys((digest, *kept))])
        arrival = self.importer.commit(data, [self.reference])
        for warning in arrival.warnings:
            self.observe(TransferWarned(warning))
        self.observe(TransferFinished("pull", name, digest))
        return arrival

    def _fetch_manifests(self, data: bytes, digest: Digest) -> dict[Digest, Manifest | Index]:
        """Keep the manifests that are wanted: the only one, or those of an index, with the indexes inside it."""
        top = self._parse(data, digest)
        if isinstance(top, Manifest):
            self._check_platform(top.config)
            self.importer.put_manifest(data)
            return {digest: top}
        kept: dict[Digest, Manifest | Index] = {}
        listed = self._leaves(top, kept)
        return kept | {child.digest: self._fetch_manifest(child) for child in self._choose(listed)}

    def _leaves(self, top: Index, kept: dict[Digest, Manifest | Index]) -> list[Descriptor]:
        """Return what an index lists, with what the indexes inside it list in their place; those are kept."""

        def fetch_inner(listed: Descriptor) -> Index | None:
            inner = self._fetch_inner(listed)
            if inner is not None:
                kept[listed.digest] = inner
            return inner

        try:
            return leaves(top, fetch_inner)
        except ValueError as error:
            raise RegistryContentError(f"{self.repository}: the image's index cannot be followed: {error}") from error

    def _fetch_inner(self, listed: Descriptor) -> Index | None:
        platform = listed.platform
        if platform is not None and self.platforms and not any(one.accepts(platform) for one in self.platforms):
            return None
        data, _ = self.repository.get_manifest(listed.digest)
        inner = self._parse(data, listed.digest)
        if isinstance(inner, Manifest):
            raise RegistryContentError(f"{self.repository}: {listed.digest} is listed as an index, and is a manifest")
        self.importer.put_manifest(data)
        return inner

    def _fetch_manifest(self, child: Descriptor) -> Manifest:
        # Its size is not compared: sealer writes other sizes into its lists. The digest says it all.
        data, _ = self.repository.get_manifest(child.digest)
        manifest = self._parse(data, child.digest)
        if not isinstance(manifest, Manifest):
            raise RegistryContentError(f"{self.repository}: {child.digest} is listed as a manifest, and is an index")
        if child.platform is None:
            self._check_platform(manifest.config)
        if self.trust is not None:
            self.trust.choose(data)
        self.importer.put_manifest(data)
        return manifest

    def _parse(self, data: bytes, digest: Digest) -> Manifest | Index:
        try:
            return parse_document(data)
        except _BAD_DOCUMENT as error:
            raise RegistryContentError(f"{self.repository}: {digest} is no manifest of an image: {error}") from error

    def _choose(self, listed: list[Descriptor]) -> list[Descriptor]:
        """Return the manifests for the wanted platforms; what is for none, such as an attestation, is no image."""
        listed = [one for one in listed if one.media_type not in INDEXES]
        images = [one for one in listed if one.platform is not None and one.platform.os != "unknown"]
        # An index of one image need not say whom it is for: its config does.
        images = images or listed
        if not self.platforms:
            return images
        chosen = []
        for platform in self.platforms:
            found = platform.choose(images, partial(_platform_of, platform))
            if not found:
                raise self._no_platform(platform, [str(one.platform) for one in images])
            chosen.append(found[0])
        return _unique(chosen)

    def _check_platform(self, config: Descriptor) -> None:
        """Find out before anything large is fetched whether the only image is for a wanted platform."""
        if not self.platforms:
            return
        if config.size > LARGEST_DOCUMENT:
            raise RegistryContentError(f"{self.repository}: the config {config.digest} has {config.size} bytes")
        data = b"".join(self._download(config))
        if Digest.of(data) != config.digest:
            raise RegistryContentError(f"{self.repository}: the config {config.digest} has other bytes")
        try:
            found = platform_from_json(canonical.decode(data))
        except _BAD_DOCUMENT as error:
            raise RegistryContentError(f"{self.repository}: {_no_config(config, error)}") from error
        for platform in self.platforms:
            if not platform.accepts(found):
                raise self._no_platform(platform, [str(found)])

    def _no_platform(self, platform: Platform, found: list[str]) -> PlatformMismatchError:
        there = ", ".join(dict.fromkeys(found)) or "none"
        return PlatformMismatchError(
            f"{self.repository} has no image for {platform}; it has {there}",
            hint="choose one of them with --platform" if found else None,
        )

    def _fetch_all(self, blobs: Sequence[Descriptor]) -> None:
        run_all([partial(self._fetch, blob) for blob in blobs], self.stop)

    def _fetch(self, blob: Descriptor, put: PutBlob | None = None) -> None:
        put = put or self.importer.put_blob
        if self.importer.has_blob(blob):
            self.observe(BlobFinished("pull", blob.digest, blob.size, moved=False))
            return
        download = self._download(blob)
        try:
            self._put(blob, download, put)
        except RegistryContentError:
            if not download.resumed:
                raise
            # What came in several answers may have come from several servers: once more, in one.
            self._put(blob, self._download(blob), put)
        self.observe(BlobFinished("pull", blob.digest, blob.size, moved=True))

    def _fetch_referrers(self, subjects: list[Digest]) -> None:
        """Fetch what refers to manifests, and to that in turn: it is listed when the image is."""
        from kubeimage.registry.referrers import RepositoryReferrers

        found = RepositoryReferrers(self.repository, self.referrers, self.stop).walk(subjects)
        blobs = _unique(blob for one in found for blob in one.blobs)
        run_all([partial(self._fetch, blob, self.importer.put_artifact_blob) for blob in blobs], self.stop)
        for one in found:
            self.importer.put_referrer(one)
            referrer = one.referrer
            self.observe(ReferrerFinished("pull", referrer.label, referrer.digest, referrer.subject))

    def _put(self, blob: Descriptor, download: Download, put: PutBlob) -> None:
        try:
            put(blob, download)
        except (BlobCorruptError, LayerError) as error:
            raise RegistryContentError(f"{self.repository}: {error}", hint="nothing of the image was kept") from error

    def _download(self, blob: Descriptor) -> Download:
        size = blob.size

        def arrived(done: int) -> None:
            self.observe(BlobProgress("pull", blob.digest, done, size))

        return Download(self.repository, blob, arrived)


def _no_config(config: Descriptor, error: Exception) -> str:
    if config.media_type not in CONFIGS:
        return f"this is no container image: its config is of the type {config.media_type}"
    return f"{config.digest} is no image config: {error}"


def _platform_of(wanted: Platform, descriptor: Descriptor) -> Platform:
    return descriptor.platform or wanted


def _unique(blobs: Iterable[Descriptor]) -> list[Descriptor]:
    return list({blob.digest: blob for blob in blobs}.values())
