"""What the executor asks of the world: one small Protocol a part, and the values they pass.

Real parts live in kubeimage, in-memory ones in harness.fakes; both pass the same contract tests (harness.contracts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from typing import BinaryIO, Protocol

from kubeimage.cachekey import CacheKey
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Entry
from kubeimage.values import dataclass


@dataclass(frozen=True)
class CopyRequest:
    """A COPY with everything expanded.

    Shape: ``sources`` are patterns relative to the build context, ``destination`` is relative to the image root.
    Units: ``chmod`` holds permission bits, or is None; ``mtime`` in seconds since 1970, None to keep each file's own.
    """

    sources: tuple[str, ...]
    destination: str
    exact: bool = False
    chmod: int | None = None
    mtime: int | None = 0


@dataclass(frozen=True)
class Collected:
    """What a COPY puts into its layer.

    Shape: ``entries`` in canonical order, at their places below the destination as it was written; the destination's
           own parents are not among them. ``directories`` are the paths that must be directories for the entries to
           stand where they do (DEST, where it is one, and its parents), outermost first.
    """

    entries: Sequence[Entry]
    directories: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class SourceCollector(Protocol):
    """Finds the sources of a COPY in a build context."""

    def collect(self, request: CopyRequest) -> Collected:
        """Find what ``request`` copies, reading no file content.

        Raises: a ContextError that names the source.
        """
        ...

    def with_digests(self, entries: Sequence[Entry]) -> list[Entry]:
        """Give ``entries`` with the ``digest`` of every FILE, reading only what is not known from before.

        Raises: ContextChangedError, UnreadableSourceError.
        """
        ...

    def remember(self, entries: Sequence[Entry]) -> None:
        """Keep the digests that ``entries`` have: somebody else has just read their contents."""
        ...

    def known_sources(self, entries: Sequence[Entry]) -> Digest | None:
        """Give what `remember_sources` got with the same ``entries``, if nothing has changed since; read nothing."""
        ...

    def remember_sources(self, entries: Sequence[Entry], sources: Digest) -> None:
        """Keep the digest of a cache key's sources, which ``entries`` came to."""
        ...


@dataclass(frozen=True)
class StoredLayer:
    """A layer's tar in a store.

    Units: ``size`` in bytes of the tar. ``digests`` are the sha256 (32 bytes) of each FILE's content, by path.
    """

    diff_id: Digest
    size: int
    digests: Mapping[str, bytes] = field(default_factory=dict)


class LayerStore(Protocol):
    """Keeps layers' tars under their diff_ids. Layers never change."""

    def put(self, changeset: Sequence[Entry]) -> StoredLayer:
        """Write ``changeset`` (in canonical order) as a canonical tar: read, frame, hash and write in one pass.

        Nothing is visible under the diff_id before the tar is whole. A layer that is there already stays as it is.
        Raises: StoreFullError, StoreAccessError; ContextError where a source changed or cannot be read.
        """
        ...

    def add(self, tar: BinaryIO, *, diff_id: Digest | None = None) -> StoredLayer:
        """Keep an existing tar, byte for byte; where ``diff_id`` is given, it must be that tar's.

        Raises: BlobCorruptError, LayerFormatError, PathEscapeError, StoreFullError.
        """
        ...

    def has(self, diff_id: Digest) -> bool:
        """Whether the layer is there, whole and undamaged (as far as that can be told cheaply)."""
        ...

    def size(self, diff_id: Digest) -> int:
        """The tar's size in bytes.

        Raises: BlobNotFoundError.
        """
        ...

    def open(self, diff_id: Digest) -> BinaryIO:
        """Open the tar for reading; it can seek.

        Raises: BlobNotFoundError.
        """
        ...

    def entries(self, diff_id: Digest) -> Iterator[Entry]:
        """Read the entries from the tar's headers, in its order; file content is passed over.

        Raises: BlobNotFoundError, LayerFormatError.
        """
        ...


@dataclass(frozen=True)
class ImageRecord:
    """A name and what it names.

    Shape: ``reference`` None for an image that has lost its name. ``manifest`` is the digest of the image's manifest.
    """

    reference: Reference | None
    platform: Platform
    manifest: Digest
    image_id: Digest


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
        """Give the image of that name (for that platform), or None.

        Raises: BlobNotFoundError, BlobCorruptError where the name leads to a damaged image.
        """
        ...

    def find(self, image_id: str) -> Image | None:
        """Give the image whose id starts with ``image_id`` (at least 6 hex characters), if it is the only one."""
        ...

    def records(self) -> list[ImageRecord]:
        """Every name and platform, sorted by name."""
        ...

    def tag(self, source: Reference, target: Reference) -> None:
        """Give the image another name.

        Raises: ImageNotFoundError.
        """
        ...

    def remove(self, reference: Reference, platform: Platform | None = None) -> list[Digest]:
        """Take a name away, and give the digests of the blobs that went with it.

        With a ``platform``, the name keeps what it has for other platforms.

        Raises: ImageNotFoundError.
        """
        ...


@dataclass(frozen=True)
class CachedStep:
    """What a step made: a layer, or nothing (``layer`` is None)."""

    layer: StoredLayer | None


class BuildCache(Protocol):
    """Remembers what steps made. It may forget at any time; it never answers wrongly."""

    def lookup(self, key: CacheKey) -> CachedStep | None:
        """Give what the step with this key made, or None."""
        ...

    def record(self, key: CacheKey, step: CachedStep) -> None:
        """Remember what the step with this key made."""
        ...

    def expects(self, parent: Digest) -> bool:
        """Whether any step after ``parent`` is remembered: if not, no lookup can hit."""
        ...

    def nearest(self, key: CacheKey) -> CacheKey | None:
        """Give the remembered key with the same parent that is most like ``key``, to say what differs."""
        ...


class SnapshotStore(Protocol):
    """Keeps layers unpacked as overlayfs wants its lower directories, made when first asked for."""

    def path(self, diff_id: Digest) -> str:
        """Give the absolute path of the unpacked layer; nobody may write to it.

        Raises: BlobNotFoundError, BlobCorruptError, LayerError, StoreFullError.
        """
        ...

    def scratch(self) -> AbstractContextManager[str]:
        """Give an empty private directory on the same filesystem, removed afterwards whatever is in it."""
        ...

    def workspace(self) -> str:
        """Give an empty private directory on the same filesystem, which lasts until the store is closed.

        Raises: StoreFullError.
        """
        ...


@dataclass(frozen=True)
class Command:
    """A RUN.

    Shape: ``script`` goes to ``sh -c`` byte for byte. ``environment`` is all that the command sees beside PATH, HOME
           and LANG. ``network`` False means none at all.
    Units: ``timeout`` in seconds, or None.
    """

    script: str
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = True
    timeout: float | None = None


class Mount(Protocol):
    """An image's merged rootfs, made writable for one RUN."""

    @property
    def rootfs(self) -> str:
        """The absolute path of the merged rootfs, as a process started behind ``prefix`` sees it."""
        ...

    @property
    def prefix(self) -> tuple[str, ...]:
        """The argv to put before a command so that it sees the rootfs; empty if everybody does."""
        ...

    def changes(self) -> list[Entry]:
        """Give what differs from the layers below, in canonical order; call it when nothing runs any more.

        What is equal in type, mode, content, target and xattrs is no change, whatever its times.
        """
        ...

    def keep(self, directory: str) -> None:
        """Copy the whole tree, as the RUN left it, into ``directory``, which is made.

        Raises: MountError, StoreFullError.
        """
        ...


class Mounter(Protocol):
    """Puts layers together into a rootfs."""

    @property
    def name(self) -> str:
        """What it is called on the command line: overlay, copy, memory."""
        ...

    def mount(self, layers: Sequence[Digest]) -> AbstractContextManager[Mount]:
        """Merge ``layers``, lowest first; leaving the context removes all traces, whatever happened inside.

        Raises: MountError that says what to do.
        """
        ...


@dataclass(frozen=True)
class CommandResult:
    """How a command ended.

    Shape: ``status`` is its exit status, or minus the number of the signal that ended it. ``tail`` is the end of what
           it printed.
    """

    status: int
    tail: str = ""
    timed_out: bool = False


class CommandRunner(Protocol):
    """Runs a command on a mounted rootfs, and returns when it and everything it started are gone."""

    @property
    def name(self) -> str:
        """What it is called on the command line: sandbox, none."""
        ...

    def check_platform(self, platform: Platform) -> None:
        """Make sure that programs for ``platform`` can run; asked only where this machine's is another one.

        Raises: PlatformMismatchError that says what is missing.
        """
        ...

    def run(self, command: Command, mount: Mount, output: Callable[[bytes], None]) -> CommandResult:
        """Run ``command`` with the rootfs as its working directory; ``output`` gets what it prints, as it comes.

        Raises: SandboxError where it cannot be started.
        """
        ...


@dataclass(frozen=True)
class MadeLayer:
    """A layer that a build has made. Shape: ``entries`` are what is in it, None where they must be read."""

    diff_id: Digest
    entries: Sequence[Entry] | None = None


@dataclass(frozen=True)
class PackRequest:
    """What a build has made, whose container images are to be packed.

    Shape: ``base`` are the layers below ``made``; without ``keep_base`` they do not belong to the image.
    Units: ``mtime`` in seconds since 1970.
    """

    base: tuple[Digest, ...]
    made: tuple[MadeLayer, ...]
    platform: Platform
    mtime: int = 0
    use_cache: bool = True
    keep_base: bool = True


@dataclass(frozen=True)
class Packed:
    """What has become of the container images that an application names.

    Shape: ``layer`` is None where there is nothing to add. ``images`` are the names of those that are packed.
           ``left_out`` says how many are named and stay outside, ``charts`` how many charts were not even looked into.
    """

    layer: StoredLayer | None = None
    images: tuple[str, ...] = ()
    cached: bool = False
    left_out: int = 0
    charts: int = 0
    warnings: tuple[str, ...] = ()


class ImagePacker(Protocol):
    """Packs the container images that new layers name into one trailing layer."""

    def pack(self, request: PackRequest) -> Packed:
        """Find the images, fetch what is not there, and make the layer.

        Raises: DiscoveryError, PackingError; RegistryError, CredentialsError; StoreError.
        """
        ...
