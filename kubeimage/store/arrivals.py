"""Images that come from elsewhere, kept byte for byte: verified blob by blob, and shown when all of it is there."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from kubeimage.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    KubeimageError,
    LayerError,
    LayerFormatError,
    LayerLimitError,
    PlatformMismatchError,
    RegistryError,
)
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.document import MAX_LAYERS
from kubeimage.image.media_types import CONFIG, DOCKER_MANIFEST, MANIFESTS, compression_of, is_layer, layer_type
from kubeimage.image.oci import LARGEST_DOCUMENT, Descriptor, Index, Manifest, parse_document
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referring import FoundReferrer
from kubeimage.image.sealerform import from_sealer
from kubeimage.layer.output import PIECE, Output
from kubeimage.protocols.transfer import Arrival, Budget
from kubeimage.store import index, manifests
from kubeimage.store.blobs import Blobs, NewBlob
from kubeimage.store.images import DirectoryImageStore, MakeEntry
from kubeimage.store.lookup import Lookup
from kubeimage.store.reading import ImageReader
from kubeimage.store.records import Variant
from kubeimage.store.referrers import make_referrer_entry
from kubeimage.store.variants import Variants

_AGAIN = "get the image again; if it stays so, it is damaged where it came from"


class StoreImporter:
    """Takes one image in. The parts of a store belong to one thread, so what they do is done by one at a time."""

    def __init__(
        self,
        blobs: Blobs,
        variants: Variants,
        *,
        images: DirectoryImageStore,
        reader: ImageReader,
        lookup: Lookup,
        budget: Budget,
    ) -> None:
        self._blobs = blobs
        self._variants = variants
        self._images = images
        self._reader = reader
        self._lookup = lookup
        self._budget = budget
        self._spent = 0
        self._arrived: dict[Digest, Descriptor] = {}
        self._referrers: list[FoundReferrer] = []
        self._lock = threading.Lock()

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there, whole and verified; it is kept from being removed meanwhile.

        Raises: StoreFullError, StoreAccessError.
        """
        with self._lock:
            self._blobs.hold_surely([descriptor.digest])
        return self._blobs.is_sound(descriptor.digest, descriptor.size)

    def put_blob(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Keep a blob; which layer a compressed one holds is found out while it is written.

        Raises: BlobCorruptError, LayerFormatError, LayerTooLargeError, StoreFullError, StoreAccessError; whatever
            ``chunks`` raises.
        """
        if self.has_blob(descriptor):
            return
        if not is_layer(descriptor.media_type) and descriptor.size > LARGEST_DOCUMENT:
            raise BlobCorruptError(
                f"{descriptor.digest} ({descriptor.media_type}) is said to have {descriptor.size} bytes"
            )
        with self._blobs.receiving(descriptor.digest, descriptor.size, chunks) as (file, pieces):
            variant = self._write(descriptor, _regroup(pieces), file)
            with self._lock:
                self._blobs.publish(file, descriptor.digest, descriptor.size)
                if variant is not None:
                    self._variants.add(variant)

    def put_artifact_blob(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Keep a blob of an artefact as it is: nobody looks into it.

        Raises: BlobCorruptError, also for one that is too large; StoreFullError, StoreAccessError; whatever ``chunks``
            raises.
        """
        if self.has_blob(descriptor):
            return
        if descriptor.size > (most := self._allowance(descriptor)):
            raise BlobCorruptError(
                f"{descriptor.digest} ({descriptor.media_type}) is said to have {descriptor.size} bytes, where at most "
                f"{most} are taken in"
            )
        with self._blobs.receiving(descriptor.digest, descriptor.size, chunks) as (file, pieces):
            _write_verified(descriptor, _regroup(pieces), file)
            with self._lock:
                self._blobs.publish(file, descriptor.digest, descriptor.size)
                self._spent += descriptor.size

    def put_referrer(self, found: FoundReferrer) -> None:
        """Keep the manifests of an artefact, to be listed when the image is committed that it refers to.

        Raises: StoreFullError, StoreAccessError.
        """
        with self._lock:
            for data in (*(data for _, data in found.inner), found.data):
                self._blobs.put(data)
            self._referrers.append(found)

    def put_manifest(self, data: bytes) -> Descriptor:
        """Keep a manifest, or an index inside the image's; only those that were put belong to what is committed.

        Raises: BlobCorruptError, StoreFullError, StoreAccessError.
        """
        document = _parse(data)
        descriptor = Descriptor.of(document.media_type, data)
        with self._lock:
            self._blobs.put(data)
            self._arrived[descriptor.digest] = descriptor
        return descriptor

    def commit(self, data: bytes, references: Sequence[Reference] = ()) -> Arrival:
        """Verify that all of the image is there and belongs together, and give it its names.

        Raises: BlobNotFoundError, BlobCorruptError, LayerError, LayerLimitError, PlatformMismatchError,
            StoreFullError, StoreAccessError.
        """
        return self.commit_all([(data, references)])[0]

    def commit_all(self, images: Sequence[tuple[bytes, Sequence[Reference]]]) -> list[Arrival]:
        """Verify several images, then give all of them their names at once.

        Raises: as ``commit`` does.
        """
        accepted = [self._accept(self._restore(data, names)) for data, names in images]
        self._images.commit_all(
            [(make_entry, names) for (_, make_entry), (_, names) in zip(accepted, images, strict=True)],
            [self._accept_referrer(one) for one in self._referrers],
        )
        return [arrival for arrival, _ in accepted]

    def _restore(self, data: bytes, names: Sequence[Reference]) -> bytes:
        """Return the manifest or index of what left a store in sealer's form, as it was; else ``data`` itself."""
        if any(name.digest is not None for name in names):
            return data
        document = _parse(data)
        if isinstance(document, Index):
            restored = self._restore_index(document)
        else:
            manifest = self._restore_manifest(document)
            restored = manifest.to_bytes() if manifest is not None else None
        return data if restored is None else restored

    def _restore_index(self, document: Index) -> bytes | None:
        """Return what an index was before it left, None if that was no other; of one image it is the manifest."""
        come = [one for one in document.manifests if one.digest in self._arrived]
        found = [
            self._restore_manifest(manifests.read_manifest(self._blobs, self._arrived[one.digest]))
            for one in come
            if one.media_type == DOCKER_MANIFEST
        ]
        images = [one.to_bytes() for one in found if one is not None]
        if not images or len(images) != len(come):
            return None
        if len(images) == 1:
            return images[0]
        listed = [self.put_manifest(one) for one in images]
        return Index(
            tuple(replace(new, platform=old.platform) for new, old in zip(listed, come, strict=True))
        ).to_bytes()

    def _restore_manifest(self, manifest: Manifest) -> Manifest | None:
        about = manifest.config
        if manifest.media_type != DOCKER_MANIFEST or not self._blobs.is_sound(about.digest, about.size):
            return None
        found = from_sealer(self._blobs.read(about.digest, about.size))
        if found is None:
            return None
        config, annotations = found
        with self._lock:
            self._blobs.put(config)
        layers = tuple(replace(one, media_type=layer_type(compression_of(one.media_type))) for one in manifest.layers)
        return Manifest(Descriptor.of(CONFIG, config), layers, annotations)

    def _accept(self, data: bytes) -> tuple[Arrival, MakeEntry]:
        document = _parse(data)
        if isinstance(document, Index):
            return self._accept_index(data, document)
        top = self.put_manifest(data)
        platform, image_id = self._verify(top)
        arrival = Arrival(top, ((platform, top.digest, image_id),))
        return arrival, lambda name: index.make_entry_of(top, platform, image_id, name)

    def _accept_referrer(self, found: FoundReferrer) -> JsonObject:
        """Verify that all of an artefact is there, and make its entry."""
        for blob in (*found.blobs, *(listed for listed, _ in found.inner)):
            self._check_blob(blob)
        return make_referrer_entry(found.referrer)

    def _accept_index(self, data: bytes, document: Index) -> tuple[Arrival, MakeEntry]:
        top = Descriptor.of(document.media_type, data)
        inner, listed = manifests.hold_listed(self._blobs, document, self._blobs.hold_surely)
        self._welcome_earlier(top.digest, listed)
        taken = [one for one in listed if one.digest in self._arrived]
        images = [one for one in taken if one.media_type in MANIFESTS and manifests.is_for_a_machine(one)]
        if not images:
            raise BlobNotFoundError(f"none of the images of the index {top.digest} has come with it", hint=_AGAIN)
        arrived = tuple(self._verify_listed(one) for one in images)
        for other in taken:
            self._check_blobs(other)
        self._blobs.put(data)
        digests = [one.digest for one in (*inner, *taken)]
        absent = tuple(one for one in listed if one.digest not in self._arrived)
        arrival = Arrival(top, arrived, absent, tuple(self._warn_of_sizes(taken)))
        return arrival, lambda name: index.make_index_entry(top, digests, name)

    def _welcome_earlier(self, top: Digest, listed: Iterable[Descriptor]) -> None:
        """Count in what came with the same index before, for other platforms, as far as it is still whole."""
        for descriptor in self._lookup.taken_of(top, listed):
            if descriptor.digest not in self._arrived:
                with suppress(BlobNotFoundError, BlobCorruptError, LayerError):
                    self._blobs.hold_surely(one.digest for one in manifests.blobs_of(self._blobs, descriptor))
                    self._check_blobs(descriptor)
                    self._arrived[descriptor.digest] = descriptor

    def _write(self, descriptor: Descriptor, pieces: Iterator[bytes], file: NewBlob) -> Variant | None:
        if not is_layer(descriptor.media_type):
            _write_verified(descriptor, pieces, file)
            return None
        if compression_of(descriptor.media_type) == "none":
            _write_verified(descriptor, pieces, file)
            _check_tar(file.path, descriptor)
            return None
        from kubeimage.store.unpacking import PassingLayer

        with PassingLayer(descriptor, most=self._allowance(descriptor)) as layer:
            _write_verified(descriptor, layer.watch(pieces), file)
            variant = layer.finish()
        with self._lock:
            self._spent += variant.size
        return variant

    def _allowance(self, descriptor: Descriptor) -> int:
        """How many bytes the layer may have, given what came before."""
        return max(0, min(self._budget.of_layer(descriptor.size), self._budget.total - self._spent))

    def _verify_listed(self, listed: Descriptor) -> tuple[Platform, Digest, Digest]:
        """Verify one manifest of an index.

        Raises: PlatformMismatchError where the image is for another machine than the index says.
        """
        platform, image_id = self._verify(self._arrived[listed.digest])
        if listed.platform is not None and not listed.platform.is_alike(platform):
            raise PlatformMismatchError(
                f"the index lists {listed.digest} for {listed.platform}, and its config says {platform}", hint=_AGAIN
            )
        return listed.platform or platform, listed.digest, image_id

    def _verify(self, descriptor: Descriptor) -> tuple[Platform, Digest]:
        """Verify that a manifest, its config and its layers are there and belong together."""
        self._check_blobs(descriptor)
        count = len(manifests.read_manifest(self._blobs, descriptor).layers)
        if count > MAX_LAYERS:
            raise LayerLimitError(
                f"the image {descriptor.digest} has {count} layers; an image has at most {MAX_LAYERS}"
            )
        image = self._reader.read(descriptor)
        return image.platform, image.id

    def _check_blobs(self, descriptor: Descriptor) -> None:
        for blob in manifests.blobs_of(self._blobs, manifests.with_real_size(self._blobs, descriptor)):
            self._check_blob(blob)

    def _check_blob(self, blob: Descriptor) -> None:
        if not self._blobs.is_sound(blob.digest, blob.size):
            found = self._blobs.size(blob.digest)
            what = f"has {found} bytes where {blob.size} are recorded" if found != blob.size else "is damaged"
            raise BlobCorruptError(f"the blob {blob.digest} {what}", hint=_AGAIN)

    def _warn_of_sizes(self, listed: Sequence[Descriptor]) -> Iterator[str]:
        for one in listed:
            size = self._arrived[one.digest].size
            if size != one.size:
                yield f"the index says that {one.digest} has {one.size} bytes; it has {size}, and its digest is right"


def _write_verified(descriptor: Descriptor, pieces: Iterator[bytes], file: NewBlob) -> None:
    """Write what comes, and find out whether it is what was described.

    Raises: BlobCorruptError, as soon as there is too much.
    """
    size = 0
    with Output(file.write) as output:
        try:
            for piece in pieces:
                size += len(piece)
                if size > descriptor.size:
                    raise BlobCorruptError(
                        f"the blob {descriptor.digest} has more than its {descriptor.size} bytes", hint=_AGAIN
                    )
                output.add(piece)
        except RegistryError:
            # What has come is written, for who goes on with it.
            output.finish()
            raise
        found = output.finish()
    if size != descriptor.size:
        raise BlobCorruptError(
            f"the blob {descriptor.digest} ended after {size} of {descriptor.size} bytes", hint=_AGAIN
        )
    if found != descriptor.digest.hex:
        raise BlobCorruptError(
            f"the blob {descriptor.digest} was asked for, and what came is sha256:{found}", hint=_AGAIN
        )


def _check_tar(path: str, descriptor: Descriptor) -> None:
    """Refuse a layer that no command could use once it is here.

    Raises: LayerFormatError, PathEscapeError, LayerTooLargeError; StoreAccessError.
    """
    from kubeimage.layer.compression import detect
    from kubeimage.store.unpacking import named, why_unusable

    with open(path, "rb") as tar:
        if (kind := detect(tar.read(4))) != "none":
            raise LayerFormatError(
                f"the layer {descriptor.digest} is compressed with {kind}, and its media type says that it is a tar",
                hint="its manifest is wrong; make the image again with the tool that it comes from",
            )
        tar.seek(0)
        unusable = why_unusable(tar)
    if unusable is not None:
        raise named(unusable, descriptor.digest)


def _regroup(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces of about 1 MiB: small ones cost more than they hold.

    Raises: what ``chunks`` raises, once all that came before is yielded.
    """
    waiting: list[bytes] = []
    gathered = 0
    try:
        for chunk in chunks:
            waiting.append(chunk)
            gathered += len(chunk)
            if gathered >= PIECE:
                yield b"".join(waiting)
                waiting, gathered = [], 0
    except RegistryError:
        # Who goes on with it later need not have it sent again.
        yield b"".join(waiting)
        raise
    if gathered:
        yield b"".join(waiting)


def _parse(data: bytes) -> manifests.Document:
    if len(data) > LARGEST_DOCUMENT:
        raise BlobCorruptError(
            f"a manifest of {len(data)} bytes is larger than the {LARGEST_DOCUMENT} that are allowed"
        )
    try:
        return parse_document(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError) as error:
        raise BlobCorruptError(f"{Digest.of(data)} is no image manifest: {error}", hint=_AGAIN) from error
