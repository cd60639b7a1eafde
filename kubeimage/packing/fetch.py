"""Manifests and blobs of container images, from registries into the store: several at once, each blob once.

A tag is looked up once; from then on everything is asked for by digest. Of an index, only the manifest for the wanted
platform is taken, and the index itself, byte for byte.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TypeVar

from kubeimage.discovery.references import familiar
from kubeimage.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    KubeimageError,
    LayerError,
    PackingError,
    RegistryContentError,
    RegistryError,
    RegistryNotFoundError,
)
from kubeimage.image.digest import Digest
from kubeimage.image.oci import LARGEST_DOCUMENT, Descriptor, Index, Manifest, parse_document, platform_from_json
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ReferrerChoice
from kubeimage.image.referring import FoundReferrer
from kubeimage.packing.countdown import Countdown
from kubeimage.packing.elsewhere import PackedElsewhere
from kubeimage.packing.layout import Contents, choose_manifest
from kubeimage.protocols.watching import ignore
from kubeimage.registry.client import Repository
from kubeimage.registry.download import Download
from kubeimage.registry.events import (
    BlobFinished,
    BlobProgress,
    ImageLookedUp,
    TransferEvent,
    TransferObserver,
    TransferWarned,
)
from kubeimage.registry.referrers import RepositoryReferrers
from kubeimage.registry.registries import Registries
from kubeimage.registry.workers import run_all
from kubeimage.store.shelf import BlobShelf
from kubeimage.values import dataclass

T = TypeVar("T")
_BAD_DOCUMENT = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)
_IMAGES_AT_ONCE = 8


@dataclass(frozen=True)
class Blob:
    """A blob that is wanted, with an image that has it."""

    image: Reference
    descriptor: Descriptor


class Fetcher:
    """Brings images into the store.

    Shape: ``elsewhere`` is what other images of the store have packed.
           Without ``registries`` nothing is fetched, and what is missing is an error.
    """

    def __init__(
        self,
        shelf: BlobShelf,
        platform: Platform,
        registries: Registries | None,
        elsewhere: PackedElsewhere,
        observe: TransferObserver,
    ) -> None:
        self._shelf = shelf
        self._platform = platform
        self._below: Callable[[Digest], bytes | None] = lambda _: None
        self._elsewhere = elsewhere
        self._registries = registries
        self._observe = observe
        self._lock = threading.Lock()
        self._locks: dict[Digest, threading.Lock] = {}

    def use_below(self, below: Callable[[Digest], bytes | None]) -> None:
        """Ask ``below`` for the content of a blob that the layers below may have, before a registry."""
        self._below = below

    def use_layers(self, layers: Collection[Digest]) -> None:
        """Take blobs from these layers, before a registry; each is compared with its digest.

        Raises: BlobNotFoundError.
        """
        self._elsewhere.add(layers)

    def resolve(
        self,
        images: Sequence[Reference],
        remembered: Callable[[Reference], Digest | None],
        lost: Callable[[Reference], None] | None = None,
    ) -> dict[Reference, Digest]:
        """Ask the registries what names lead to, and keep what they answer; what is as ``remembered`` is not fetched.

        With ``lost``, that is told of names which their registries do not have, and no error is raised.
        Raises: RegistryError, CredentialsError.
        """
        found: dict[Reference, Digest] = {}

        def resolve_one(image: Reference) -> None:
            try:
                ask_for(image)
            except RegistryNotFoundError:
                if lost is None:
                    raise
                with self._lock:
                    lost(image)

        def ask_for(image: Reference) -> None:
            # Public registries count how often a manifest is fetched, and not how often it is asked for.
            digest = remembered(image)
            if digest is None or digest != self._ask(image, lambda repository: repository.find_digest(image.tag)):
                data, digest = self._ask(image, lambda repository: repository.get_manifest(image.tag))
                self._shelf.put(digest, len(data), [data])
            with self._lock:
                found[image] = digest

        self._each(images, resolve_one)
        return found

    def meanings(self, image: Reference) -> Mapping[Digest, str]:
        """Return what the name led to when images of the store were built, each with the name of such an image."""
        return self._elsewhere.meanings(image)

    def list_manifests(self, resolved: Mapping[Reference, Digest]) -> dict[Reference, dict[Platform, Digest]]:
        """Return the manifest of each platform that each image is there for.

        Raises: RegistryError, CredentialsError; PackingError for an image that is not there for the wanted platform.
        """
        found: dict[Reference, dict[Platform, Digest]] = {}

        def list_one(image: Reference, digest: Digest) -> None:
            listed = self._list_manifests(image, digest)
            with self._lock:
                found[image] = listed

        self._each(resolved, lambda image: list_one(image, resolved[image]))
        return found

    def _list_manifests(self, image: Reference, digest: Digest) -> dict[Platform, Digest]:
        document = self._parse(image, digest, self._read_manifest(image, digest))
        if isinstance(document, Manifest):
            return {self._check_platform(image, document): digest}
        chosen = self._choose(image, document)
        listed: dict[Platform, Digest] = {}
        for one in document.manifests:
            if one.platform is not None and one.platform.os != "unknown":
                listed.setdefault(one.platform, one.digest)
        return listed or {self._platform: chosen.digest}

    def read(self, resolved: Mapping[Reference, Digest]) -> dict[Reference, Contents]:
        """Read what images consist of; their manifests and configs are brought for that.

        Raises: RegistryError, CredentialsError, PackingError; StoreError.
        """
        found: dict[Reference, Contents] = {}

        def read_one(image: Reference, digest: Digest) -> None:
            contents = self._read_contents(image, digest)
            with self._lock:
                found[image] = contents

        self._each(resolved, lambda image: read_one(image, resolved[image]))
        return found

    def check(
        self,
        resolved: Mapping[Reference, Digest],
        judge: Callable[[Reference, Sequence[bytes], Sequence[Repository]], None],
    ) -> None:
        """Call ``judge`` for each name, with the documents that it leads to and the repositories to ask.

        Raises: RegistryError, CredentialsError, PackingError; StoreError; whatever ``judge`` raises.
        """
        registries = self._registries

        def check_one(image: Reference) -> None:
            places = registries.sources(image) if registries is not None else []
            judge(image, self._documents(image, resolved[image]), places)

        self._each(resolved, check_one)

    def find_referrers(
        self, images: Sequence[Contents], choice: ReferrerChoice
    ) -> dict[Reference, list[FoundReferrer]]:
        """Ask registries what refers to images, and keep its manifests.

        Raises: RegistryError, CredentialsError; StoreError.
        """
        found: dict[Reference, list[FoundReferrer]] = {}

        def find_one(one: Contents) -> None:
            subjects = [*dict.fromkeys(each.digest for each in one.manifests)]
            listed = self._ask(
                one.image, lambda repository: RepositoryReferrers(repository, choice, self._stop).walk(subjects)
            )
            for each in listed:
                for data in (*(data for _, data in each.inner), each.data):
                    self.keep_document(data)
            with self._lock:
                found[one.image] = listed

        by_image = {one.image: one for one in images}
        self._each(by_image, lambda image: find_one(by_image[image]))
        return found

    def keep_document(self, data: bytes) -> None:
        """Keep a manifest or an index."""
        digest = Digest.of(data)
        with self._one_at_a_time(digest):
            if not self._shelf.has(digest, len(data)):
                self._shelf.put(digest, len(data), [data])

    def read_known(self, image: Reference, digest: Digest) -> bytes:
        """Return a manifest that can be had without asking anybody.

        Raises: BlobNotFoundError.
        """
        with self._one_at_a_time(digest):
            if not self._take_from_below(digest):
                raise BlobNotFoundError(f"the manifest {digest}, which refers to {image}, is not here any more")
        return self._shelf.read(digest)

    def _documents(self, image: Reference, digest: Digest) -> list[bytes]:
        data = self._read_manifest(image, digest)
        top = self._parse(image, digest, data)
        if isinstance(top, Manifest):
            return [data]
        return [data, self._read_manifest(image, self._choose(image, top).digest)]

    def fetch(self, images: Sequence[Contents], wanted: AbstractSet[Digest]) -> None:
        """Fetch those of the images' blobs that are ``wanted``, and tell of the images that have some.

        Raises: RegistryError, CredentialsError, PackingError; StoreError.
        """
        concerned = [one for one in images if any(blob.digest in wanted for blob in one.all_blobs)]
        self._bring_documents(concerned, wanted)
        blobs = [Blob(one.image, blob) for one in concerned for blob in (*one.layers, *one.artefact_blobs)]
        unique = {blob.descriptor.digest: blob for blob in blobs if blob.descriptor.digest in wanted}
        for blob in unique.values():
            self._take_from_elsewhere(blob.descriptor.digest, blob.descriptor.size)
        # The largest first, so that no worker is left with one at the end.
        order = sorted(unique.values(), key=lambda one: (-one.descriptor.size, one.descriptor.digest))
        sizes = {digest: blob.descriptor.size for digest, blob in unique.items()}
        count = Countdown(concerned, sizes, self._tell)
        jobs = [partial(self._fetch_counted, blob, count) for blob in order]
        run_all(jobs, self._stop, places=[self._host(blob.image) for blob in order])

    def _bring_documents(self, images: Sequence[Contents], wanted: AbstractSet[Digest]) -> None:
        """Bring manifests and configs, most of which were read before."""

        def bring(one: Contents) -> None:
            for manifest in one.manifests:
                if manifest.digest in wanted:
                    self._read_manifest(one.image, manifest.digest)
            if one.config.digest in wanted:
                self._read_config(one.image, one.config)
            for manifest in one.artefact_manifests:
                if manifest.digest in wanted:
                    self._read_manifest(one.image, manifest.digest)

        jobs = [partial(bring, one) for one in images]
        run_all(jobs, self._stop, _IMAGES_AT_ONCE, places=[self._host(one.image) for one in images])

    def _fetch_counted(self, blob: Blob, count: Countdown) -> None:
        self._fetch_blob(blob, partial(count.progressed, blob.image, blob.descriptor.digest))
        count.arrived(blob.descriptor.digest, blob.descriptor.size)

    def _read_contents(self, image: Reference, digest: Digest) -> Contents:
        data = self._read_manifest(image, digest)
        top = self._parse(image, digest, data)
        manifests = [Descriptor(top.media_type, digest, len(data))]
        if isinstance(top, Index):
            child = self._choose(image, top)
            data = self._read_manifest(image, child.digest)
            manifest = self._parse(image, child.digest, data)
            manifests.append(Descriptor(manifest.media_type, child.digest, len(data)))
            if isinstance(manifest, Index):
                raise PackingError(f"{image}: its index names an index, {child.digest}, which is no image")
        else:
            manifest = top
        self._check_platform(image, manifest)
        return Contents(image, digest, tuple(manifests), manifest.config, tuple(_unique(manifest.layers)))

    def _parse(self, image: Reference, digest: Digest, data: bytes) -> Manifest | Index:
        try:
            return parse_document(data)
        except _BAD_DOCUMENT as error:
            raise PackingError(f"{image}: {digest} is no manifest of an image: {error}") from error

    def _choose(self, image: Reference, index: Index) -> Descriptor:
        found = choose_manifest(index, self._platform)
        if found is None:
            there = ", ".join(sorted({str(one.platform) for one in index.manifests if one.platform})) or "no platform"
            raise PackingError(
                f"{image} is not there for {self._platform}, only for {there}",
                hint=f"choose another tag or platform; or leave it out: --ignore-image {familiar(image)}",
            )
        return found

    def _check_platform(self, image: Reference, manifest: Manifest) -> Platform:
        """Find out from the config for which machines an image is.

        Source: the project's design, "Execution": many an index lies about it.
        """
        if manifest.config.size > LARGEST_DOCUMENT:
            raise PackingError(f"{image}: its config has {manifest.config.size} bytes")
        data = self._read_config(image, manifest.config)
        try:
            found = platform_from_json(json.loads(data))
        except _BAD_DOCUMENT as error:
            raise PackingError(
                f"{image} is no container image: its config {manifest.config.digest} names no platform",
                hint=f"leave it out: --ignore-image {familiar(image)}",
            ) from error
        if not self._platform.accepts(found):
            raise PackingError(
                f"{image} is for {found}, not for {self._platform}: its config says so",
                hint=f"choose another tag or platform; or leave it out: --ignore-image {familiar(image)}",
            )
        return found

    def _read_manifest(self, image: Reference, digest: Digest) -> bytes:
        """Return a manifest or index: from the shelf, from the layers below, else from its registry."""
        with self._one_at_a_time(digest):
            if not self._take_from_below(digest):
                data, _ = self._ask(image, lambda repository: repository.get_manifest(digest))
                self._shelf.put(digest, len(data), [data])
        return self._shelf.read(digest)

    def _read_config(self, image: Reference, config: Descriptor) -> bytes:
        with self._one_at_a_time(config.digest):
            if not self._take_from_below(config.digest):
                self._fetch_blob(Blob(image, config))
        return self._shelf.read(config.digest)

    def _one_at_a_time(self, digest: Digest) -> threading.Lock:
        """Return the lock of a document: images that share it fetch it once."""
        with self._lock:
            return self._locks.setdefault(digest, threading.Lock())

    def _take_from_below(self, digest: Digest) -> bool:
        """Whether a document is on the shelf, or can be put there from layers of this image or of others."""
        if self._shelf.has(digest):
            return True
        # The parts of a store belong to one thread at a time.
        with self._lock:
            data = self._below(digest)
            if data is None or Digest.of(data) != digest:
                return self._take_from_elsewhere(digest)
        self._shelf.put(digest, len(data), [data])
        return True

    def _take_from_elsewhere(self, digest: Digest, size: int | None = None) -> bool:
        """Whether a blob is on the shelf, or can be put there from layers of other images."""
        if self._shelf.has(digest, size):
            return True
        if not self._elsewhere.has(digest, size):
            return False
        try:
            self._shelf.put(digest, self._elsewhere.size(digest), self._elsewhere.read(digest))
        except (BlobCorruptError, BlobNotFoundError, LayerError):
            return False
        return True

    def _fetch_blob(self, blob: Blob, progressed: Callable[[int], None] = ignore) -> None:
        digest, size = blob.descriptor.digest, blob.descriptor.size
        there = self._shelf.has(digest, size)
        if not there:
            self._ask(blob.image, lambda repository: self._download(repository, blob.descriptor, progressed))
        self._tell(BlobFinished("pull", digest, size, moved=not there))

    def _download(self, repository: Repository, blob: Descriptor, progressed: Callable[[int], None]) -> None:
        def arrived(done: int) -> None:
            self._tell(BlobProgress("pull", blob.digest, done, blob.size))
            progressed(done)

        download = Download(repository, blob, arrived)
        try:
            self._shelf.put(blob.digest, blob.size, download)
        except (BlobCorruptError, RegistryContentError) as error:
            if not download.resumed:
                raise _as_content_error(repository, error) from error
            # What came in several answers may have come from several servers, or from another day: once more, in one.
            self._download_whole(repository, blob, arrived)

    def _download_whole(self, repository: Repository, blob: Descriptor, arrived: Callable[[int], None]) -> None:
        try:
            self._shelf.put(blob.digest, blob.size, Download(repository, blob, arrived))
        except BlobCorruptError as error:
            raise _as_content_error(repository, error) from error

    def _ask(self, image: Reference, question: Callable[[Repository], T]) -> T:
        """Ask the image's mirrors, then its registry."""
        if self._registries is None:
            raise BlobNotFoundError(
                f"{image} is not whole in the store, and no registry is asked",
                hint="let it be fetched: --pull-images missing",
            )
        *mirrors, last = self._registries.sources(image)
        for mirror in mirrors:
            try:
                return question(mirror)
            except RegistryError as error:
                self._tell(TransferWarned(f"the mirror {mirror.exchange.host} is passed over: {error}"))
        try:
            return question(last)
        except RegistryNotFoundError as error:
            raise RegistryNotFoundError(
                f"{image}, which is named by what is built: {error.message}",
                status=error.status,
                codes=error.codes,
                hint=f"mend its name; or leave it out: --ignore-image {familiar(image)}",
            ) from error
        except RegistryError as error:
            error.hint = error.hint or f"--pull-images never uses what is there; --ignore-image {familiar(image)}"
            raise

    def _tell(self, event: TransferEvent) -> None:
        with self._lock:
            self._observe(event)

    def _each(self, images: Collection[Reference], work: Callable[[Reference], None]) -> None:
        """Do something about each image, at several registries at once, and tell how far that is."""
        count = itertools.count(1)

        def job(image: Reference) -> None:
            work(image)
            self._tell(ImageLookedUp(familiar(image), next(count), len(images)))

        places = [self._host(image) for image in images]
        run_all([partial(job, image) for image in images], self._stop, _IMAGES_AT_ONCE, places=places)

    def _host(self, image: Reference) -> str:
        return self._registries.host(image) if self._registries is not None else ""

    def _stop(self) -> None:
        if self._registries is not None:
            self._registries.stop()


def _as_content_error(repository: Repository, error: KubeimageError) -> RegistryContentError:
    if isinstance(error, RegistryContentError):
        return error
    return RegistryContentError(f"{repository}: {error}", hint=error.hint)


def _unique(descriptors: Sequence[Descriptor]) -> Iterator[Descriptor]:
    yield from {one.digest: one for one in descriptors}.values()
