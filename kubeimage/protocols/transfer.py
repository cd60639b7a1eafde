"""What images need to travel, between a store and whatever carries them: archives, registries.

The real parts are a store's; those who carry bytes know only what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import BinaryIO, Protocol, runtime_checkable

from kubeimage.image.digest import Digest
from kubeimage.image.media_types import Format
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import NO_REFERRERS, Referrer, ReferrerChoice
from kubeimage.image.referring import FoundReferrer
from kubeimage.layer.compression import Coding
from kubeimage.values import dataclass

OpenBlob = Callable[[Descriptor], BinaryIO]
"""Opens a blob of an image that leaves; the caller closes it."""

Lender = Callable[[Digest], str | None]
"""Returns another repository of a registry from which a blob may be taken (blob mount), None where there is none."""


@dataclass(frozen=True)
class Budget:
    """How much an arriving image may hold once its layers are uncompressed. It takes time to find out, never memory.

    Units: ``layer`` and ``total`` in bytes, of one layer's tar and of all of a session's; a layer that is larger than
           ``free`` may not have more than ``expansion`` bytes for each one of its blob (gzip cannot make more of one).
    """

    layer: int = 64 << 30
    total: int = 256 << 30
    free: int = 16 << 30
    expansion: int = 1100

    def of_layer(self, size: int) -> int:
        """How many bytes a layer may have whose blob has ``size``."""
        return min(self.layer, max(self.free, size * self.expansion))


@dataclass(frozen=True)
class Arrival:
    """What a commit has made of an arrived image.

    Shape: ``images`` are its manifests and their image ids, by platform, in their order. ``absent`` are the manifests
           that the index names and that did not arrive. ``warnings`` are for people.
    """

    top: Descriptor
    images: tuple[tuple[Platform, Digest, Digest], ...]
    absent: tuple[Descriptor, ...] = ()
    warnings: tuple[str, ...] = ()


@runtime_checkable
class Resumable(Protocol):
    """The bytes of a blob, in pieces, that need not come from the beginning."""

    def start_at(self, offset: int) -> None:
        """Leave out the first ``offset`` bytes: who takes in the blob has them."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces."""
        ...


class Intake(Protocol):
    """Takes in blobs from elsewhere, byte for byte, from several threads at once if need be."""

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there, whole and verified; it is kept from being removed meanwhile."""
        ...

    def put_blob(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Keep a layer, a config or anything else; a compressed layer's diff_id is found out on the way.

        Where ``chunks`` are `Resumable`, what is here already of the blob is left out of them.
        Raises: BlobCorruptError where size or digest are not the descriptor's; LayerFormatError for damaged
            compression; LayerTooLargeError; StoreFullError, StoreAccessError; whatever ``chunks`` raises.
        """
        ...

    def put_manifest(self, data: bytes) -> Descriptor:
        """Keep a manifest, or an index inside the image's; only those that were put belong to what is committed.

        Raises: BlobCorruptError for what is none.
        """
        ...

    def put_artifact_blob(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Keep a blob of an artefact as it is, whatever type it says that it has: nobody looks into it.

        Raises: as ``put_blob``, but for what is found out inside.
        """
        ...

    def put_referrer(self, found: FoundReferrer) -> None:
        """Keep the manifests of an artefact, to be listed when the image is committed that it refers to.

        Raises: BlobCorruptError, StoreFullError, StoreAccessError.
        """
        ...


class Importer(Intake, Protocol):
    """Takes in an image from elsewhere, blob by blob.

    Until ``commit`` there is no image; what has been put by then is what a later session need not fetch again.
    """

    def commit(self, data: bytes, references: Sequence[Reference] = ()) -> Arrival:
        """Make the manifest or index ``data``, with the manifests that were put, an image that has these names.

        All of it is verified first: that every blob is there, and that every config names the layers that came.
        Raises: BlobNotFoundError, BlobCorruptError, LayerLimitError, PlatformMismatchError; StoreFullError,
            StoreAccessError. Then no name has changed.
        """
        ...

    def commit_all(self, images: Sequence[tuple[bytes, Sequence[Reference]]]) -> list[Arrival]:
        """Make several images, all or none.

        Raises: as ``commit`` does.
        """
        ...


@dataclass(frozen=True)
class WireForm:
    """How an image is to look on its way.

    Shape: ``format`` None leaves it as it is in the store. ``coding`` None leaves layers as they are, else all are
           compressed so; with ``only_raw``, those that are compressed already stay as they are. ``referrers`` are
           those that go along.
    """

    format: Format | None = None
    coding: Coding | None = None
    only_raw: bool = False
    referrers: ReferrerChoice = NO_REFERRERS


@dataclass(frozen=True)
class WireManifest:
    """The manifest of one platform's image.

    Shape: ``blobs`` are config and layers, in the order of the manifest, each once.
    """

    descriptor: Descriptor
    data: bytes
    blobs: tuple[Descriptor, ...]


@dataclass(frozen=True)
class WireImage:
    """All that has to be sent of an image.

    Shape: ``top`` describes ``data``, which is the index, or the one manifest. ``absent`` are manifests that the index
           names and that the store does not have. ``inner`` are the indexes inside the index, innermost first: they
           have no blobs. ``referrers`` refer to any of these, or to one another, each after its subject. ``left`` are
           those that stay, for the image travels in another form than the one that they refer to.
    """

    top: Descriptor
    data: bytes
    manifests: tuple[WireManifest, ...]
    absent: tuple[Descriptor, ...] = ()
    inner: tuple[WireManifest, ...] = ()
    referrers: tuple[FoundReferrer, ...] = ()
    left: tuple[Referrer, ...] = ()

    @property
    def documents(self) -> tuple[WireManifest, ...]:
        """What has to be there before ``data``: manifests, then the indexes that name them."""
        return (*self.manifests, *self.inner)

    @property
    def is_index(self) -> bool:
        """Whether ``data`` is an index."""
        return not any(one.descriptor.digest == self.top.digest for one in self.manifests)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs of all manifests, each once."""
        return tuple({blob.digest: blob for one in self.manifests for blob in one.blobs}.values())


def told_of_left(image: WireImage) -> str:
    """Return what to tell people of what refers to an image and cannot go along."""
    count = len(image.left)
    return (
        f"{'what refers' if count == 1 else f'{count} that refer'} to the image in another form "
        f"{'stays' if count == 1 else 'stay'} behind: the {image.left[0]}{', …' if count > 1 else ''}"
    )


@dataclass(frozen=True)
class RawLayer:
    """A layer that has to be compressed before its blob can be named. Units: ``size`` in bytes of the tar."""

    diff_id: Digest
    size: int
    coding: Coding


class Departure(Protocol):
    """One image on its way out of the store. Blobs may be compressed and opened from several threads at once."""

    @property
    def raw(self) -> tuple[RawLayer, ...]:
        """The layers that are still to be compressed."""
        ...

    def compress(self, layer: RawLayer) -> Generator[bytes]:
        """Compress a layer and give its bytes as they come; when they are all taken, its blob is kept in the store.

        Whoever takes fewer closes it, and nothing is kept.
        Raises: BlobNotFoundError, BlobCorruptError, StoreFullError, StoreAccessError.
        """
        ...

    def open_growing(self, layer: RawLayer) -> BinaryIO:
        """Open what ``compress``, which has given its first piece, writes; it can be read on when the blob is kept.

        Raises: StoreAccessError.
        """
        ...

    def blob_of(self, layer: RawLayer) -> Descriptor:
        """Return the blob of a layer that has been compressed, as the wire manifest will name it.

        Raises: KeyError before it is.
        """
        ...

    def finish(self) -> WireImage:
        """Compress what is still to be, and give the wire form of the image: the same bytes each time.

        Raises: BlobNotFoundError, BlobCorruptError, StoreFullError, StoreAccessError.
        """
        ...

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Open a blob of the wire form.

        Raises: BlobNotFoundError, BlobCorruptError.
        """
        ...


class Exporter(Protocol):
    """Gives images the form that they travel in."""

    def depart(self, name: Reference | Digest, form: WireForm, platform: Platform | None = None) -> Departure:
        """Look up an image: a name's, or a manifest's; ``platform`` picks one of several.

        Raises: ImageNotFoundError; BlobNotFoundError, BlobCorruptError where it is damaged.
        """
        ...
