"""The images that one command has opened where they lie, until it ends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from kubeimage.errors import BlobCorruptError, BlobNotFoundError, KubeimageError, LayerError, RegistryError
from kubeimage.image import canonical
from kubeimage.image.config import Image, read_diff_ids
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer
from kubeimage.image.media_types import CONFIGS
from kubeimage.image.oci import Manifest
from kubeimage.image.platform import Platform
from kubeimage.protocols.sources import ImageSource
from kubeimage.registry.registries import Registries
from kubeimage.settings import Settings
from kubeimage.sources.choosing import choose_from
from kubeimage.sources.contents import SourceLayers
from kubeimage.sources.daemon import open_saved
from kubeimage.sources.dockersave import DockerArchiveSource
from kubeimage.sources.files import ArchiveFiles, FolderFiles
from kubeimage.sources.layouts import LayoutSource
from kubeimage.sources.names import SourceName, parse_source_name
from kubeimage.sources.remote import RegistrySource, parse_remote_name
from kubeimage.values import dataclass

_PIECE = 1 << 20
_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)


@dataclass(frozen=True)
class Opened:
    """An image that is read where it lies.

    Shape: ``data`` is its manifest, byte for byte. ``top`` is what its name led to: that, or the index that lists it.
    """

    image: Image
    data: bytes
    top: bytes
    layers: SourceLayers

    @property
    def source(self) -> ImageSource:
        """Where it lies."""
        return self.layers.source

    @property
    def manifest(self) -> Manifest:
        """Its manifest."""
        return Manifest.from_bytes(self.data)


class Shelf:
    """Opens images outside the store, and lets go of them all at the end."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._registries: Registries | None = None
        self._sources: dict[str, ImageSource] = {}
        # By the object: what one source says of an image's layers is not to be believed of another's.
        self._opened: dict[int, Opened] = {}

    @property
    def fetched(self) -> int:
        """How many bytes came over a network so far."""
        return sum(source.fetched for source in self._sources.values())

    def open(self, text: str, platform: Platform | None = None) -> Opened:
        """Open the image that ``text`` names.

        Raises: UsageError, ImageNotFoundError, PlatformMismatchError; ArchiveError, RegistryError; BlobNotFoundError,
            BlobCorruptError.
        """
        source = self.source(text)
        top = source.read_top()
        opened = open_manifest(source, top, *choose_from(top, source, platform))
        self._opened[id(opened.image)] = opened
        return opened

    def find(self, image: Image) -> Opened | None:
        """Return how an image was opened here, None for one of the store."""
        return self._opened.get(id(image))

    def source(self, text: str) -> ImageSource:
        """Return the place of an image, the same one for the same text."""
        if text not in self._sources:
            made = self._make(parse_source_name(text))
            self._stack.callback(made.close)
            self._sources[text] = made
        return self._sources[text]

    def close(self) -> None:
        """Close files and connections."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make(self, name: SourceName) -> ImageSource:
        shown = str(name)
        match name.transport:
            case "oci":
                return LayoutSource(FolderFiles(name.place), name.name, shown=shown)
            case "oci-archive":
                return LayoutSource(ArchiveFiles(name.place), name.name, shown=shown)
            case "docker-archive":
                return DockerArchiveSource(ArchiveFiles(name.place), name.name, shown=shown)
            case "docker-daemon":
                files = ArchiveFiles(name.name, open_saved(name.name))
                return DockerArchiveSource(files, "", shown=shown)
            case "docker":
                reference = parse_remote_name(name.name)
                if self._registries is None:
                    self._registries = self._stack.enter_context(Registries(self._settings()))
                return RegistrySource(reference, self._registries)


def open_manifest(source: ImageSource, top: bytes, data: bytes, manifest: Manifest) -> Opened:
    """Open the image of a manifest; ``top`` is what the image's name leads to.

    Raises: as ``Shelf.open``.
    """
    config = source.read_document(manifest.config)
    try:
        diff_ids = read_diff_ids(canonical.decode(config))
        if diff_ids is None:
            diff_ids = list(_found_diff_ids(source, manifest))
        if len(diff_ids) != len(manifest.layers):
            raise ValueError(f"it names {len(diff_ids)} layers, and the manifest {len(manifest.layers)}")
        pairs = list(zip(diff_ids, manifest.layers, strict=True))
        layers = [Layer(diff_id, blob.size, blob=blob) for diff_id, blob in pairs]
        image = Image.from_config(config, layers, manifest=Digest.of(data), annotations=manifest.annotations)
    except (BlobNotFoundError, BlobCorruptError, RegistryError, LayerError):
        raise
    except _BAD as error:
        if manifest.config.media_type not in CONFIGS:
            raise BlobCorruptError(
                f"{source.where} is no container image: its config is of the type {manifest.config.media_type!r}"
            ) from error
        raise BlobCorruptError(f"{source.where}: {manifest.config.digest} is no image config: {error}") from error
    return Opened(image, data, top, SourceLayers(source, pairs))


def _found_diff_ids(source: ImageSource, manifest: Manifest) -> Iterator[Digest]:
    """Find out the diff_ids of what sealer made, whose config names other digests: each layer is read once."""
    for blob in manifest.layers:
        found = hashlib.sha256()
        with SourceLayers(source, [(blob.digest, blob)]).open(blob.digest) as tar:
            while piece := tar.read(_PIECE):
                found.update(piece)
        yield Digest(found.hexdigest())
