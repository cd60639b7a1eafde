"""An image opened to be looked at, wherever it lies: its manifest, its config, its files. Nothing is unpacked."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

from kubeimage.api.backends import Backends
from kubeimage.api.finding import ImageName, find_image
from kubeimage.errors import DestinationError, ImageFileError
from kubeimage.image.config import Image
from kubeimage.image.oci import Manifest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Entry, Kind, directory
from kubeimage.layer.merged import MergedFiles
from kubeimage.layer.stack import LayerReader
from kubeimage.layer.views import LayerView, open_view
from kubeimage.values import dataclass


@dataclass(frozen=True)
class OpenImage:
    """An image to be looked at; good as long as the backends are open.

    Shape: ``reference`` is its name in the store, None for an image from elsewhere.
           ``manifest`` is the one that the image's name led to.
           ``layers`` opens each layer's tar by its diff_id, uncompressed.
           ``image.config`` are the bytes of its config; ``image.runtime`` is what a container starts with.
    """

    image: Image
    reference: Reference | None
    manifest: Manifest
    layers: LayerReader
    where: str

    @property
    def rootfs(self) -> Mapping[str, Entry]:
        """What stands at which path of the merged root filesystem; every layer's headers are read once.

        Raises: BlobNotFoundError, BlobCorruptError, LayerError; RegistryError.
        """
        return self._files.tree

    @property
    def changesets(self) -> tuple[tuple[Entry, ...], ...]:
        """The entries of each layer, lowest first, whiteouts included.

        Raises: as ``rootfs``.
        """
        return tuple(map(tuple, self._files.entries))

    def layer_of(self, path: str) -> int:
        """Return the number of the layer that put there what stands at ``path``. Units: from 0, lowest first.

        Raises: ImageFileError where nothing stands there; as ``rootfs``.
        """
        return self._files.tree.layer_of(self.resolve(path, follow=False).path)

    def resolve(self, path: str, *, follow: bool = True) -> Entry:
        """Return what stands at ``path``; symlinks are followed inside the root, the last one only with ``follow``.

        Raises: ImageFileError where nothing stands there; as ``rootfs``.
        """
        tree = self._files.tree
        clean = "/".join(part for part in path.split("/") if part not in ("", "."))
        parent, _, name = clean.rpartition("/")
        try:
            here = tree.resolve_directory(parent)
            found = f"{here}/{name}" if here else name
            entry = tree.get(found)
            if follow and entry is not None and entry.kind is Kind.SYMLINK:
                target = tree.resolve_leaf(found)
                entry = tree.get(target) if target else directory("")
        except DestinationError as error:
            raise ImageFileError(error.message) from error
        if entry is None:
            raise _not_there(path, self)
        return entry

    @contextmanager
    def open(self, path: str) -> Iterator[io.BufferedReader]:
        """Open a file's content for reading piece by piece.

        Raises: ImageFileError where there is no file; as ``rootfs``.
        """
        entry = self.resolve(path)
        if entry.kind is not Kind.FILE:
            raise ImageFileError(f"{path!r} in {self.where} is a {entry.kind.value}, and has no content")
        with self._files.open(entry.path, self._open_view) as stream:
            yield stream

    def read(self, path: str) -> bytes:
        """Return a file's content.

        Raises: as ``open``.
        """
        with self.open(path) as stream:
            return stream.read()

    @cached_property
    def _files(self) -> MergedFiles:
        return MergedFiles(len(self.image.layers), self._open_view)

    def _open_view(self, number: int) -> LayerView:
        return open_view(self.layers, self.image.layers[number].diff_id)


def open_image(name: ImageName, backends: Backends, *, platform: Platform | None = None) -> OpenImage:
    """Return an image to be looked at: one of the store, or one in a folder, an archive, a daemon or a registry.

    Shape:  of an image for several platforms, the one asked for, this machine's, or the first.
            The ``size`` of a layer that is compressed where it lies is its blob's: its tar's is not known before it
            is read.
    Raises: UsageError, ImageNotFoundError with near names, PlatformMismatchError; ReferenceFormatError; ArchiveError,
            RegistryError, StoreError.
    """
    image, reference = find_image(name, backends, platform=platform)
    where = str(name.id.short if isinstance(name, Image) else name)
    return OpenImage(image, reference, backends.manifest_of(image), backends.contents_of(image), where)


def _not_there(path: str, image: OpenImage) -> ImageFileError:
    from difflib import get_close_matches

    name = path.rstrip("/").rpartition("/")[2]
    paths = list(image.rootfs)
    same = sorted((one for one in paths if one.rpartition("/")[2] == name), key=len)
    near = list(dict.fromkeys([*same, *get_close_matches(path.strip("/"), paths, n=3)]))[:3]
    hint = f"did you mean {' or '.join(near)}?" if near else f"kubeimage ls {image.where} lists what is there"
    return ImageFileError(f"there is no {path!r} in {image.where}", hint=hint)


__all__ = ["OpenImage", "open_image"]
