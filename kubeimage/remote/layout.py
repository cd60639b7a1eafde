"""Records and layers in an OCI image layout: a folder that can be carried, mounted or kept by a CI's own cache.

Source: OCI image-spec 1.1, "Image Layout".
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import BinaryIO

from kubeimage.disk.failures import translated
from kubeimage.disk.flock import release
from kubeimage.disk.replacing import replace_file
from kubeimage.disk.smallfile import read_small
from kubeimage.errors import BlobCorruptError, BlobNotFoundError, KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import MANIFEST
from kubeimage.image.oci import ANNOTATION_REF_NAME, LARGEST_DOCUMENT, Descriptor, Index

_PIECE = 1 << 20
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class LayoutShelf:
    """A folder; it is made when the first thing is put into it. What others have put there stays."""

    repository = "oci"

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)
        self.name = f"oci:{folder}"

    def get(self, tag: str) -> bytes | None:
        """Return the manifest under a tag.

        Raises: StoreError.
        """
        listed = self._listed(tag)
        if listed is None:
            return None
        with translated("read", self.name):
            try:
                with open(self._path(listed.digest), "rb") as file:
                    data = file.read(LARGEST_DOCUMENT + 1)
            except FileNotFoundError:
                return None
        if Digest.of(data) != listed.digest:
            raise BlobCorruptError(f"{self.name}: the manifest {listed.digest} is damaged")
        return data

    def put(self, tag: str, data: bytes) -> None:
        """Put a manifest under a tag.

        Raises: StoreError.
        """
        manifest = Descriptor.of(MANIFEST, data)
        listed = replace(manifest, annotations={ANNOTATION_REF_NAME: tag})
        with translated("write", self.name):
            self._make()
            replace_file(self._path(manifest.digest), data, mode=0o644)
            with self._changing() as index:
                others = [one for one in index.manifests if one.annotations.get(ANNOTATION_REF_NAME) != tag]
                self._write_index(Index((*others, listed)))

    def has_blob(self, blob: Descriptor) -> bool:
        """Return whether the blob is there, of the size that it should have."""
        try:
            return os.stat(self._path(blob.digest)).st_size == blob.size
        except OSError:
            return False

    def read_blob(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield the blob's bytes.

        Raises: StoreError.
        """
        with translated("read", self.name):
            try:
                file = open(self._path(blob.digest), "rb")  # noqa: SIM115  it is closed below
            except FileNotFoundError:
                raise BlobNotFoundError(f"{self.name} does not hold the blob {blob.digest}") from None
            with file:
                yield from iter(lambda: file.read(_PIECE), b"")

    def put_blob(self, blob: Descriptor, open_blob: Callable[[], BinaryIO]) -> None:
        """Put a blob, unless it is there.

        Raises: StoreError.
        """
        if self.has_blob(blob):
            return
        with translated("write", self.name):
            self._make()
            path = self._path(blob.digest)
            unfinished = f"{path}.{os.urandom(8).hex()}.tmp"
            try:
                with open_blob() as source, open(unfinished, "xb") as file:
                    file.writelines(iter(lambda: source.read(_PIECE), b""))
                os.replace(unfinished, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(unfinished)
                raise

    def tags(self) -> list[str]:
        """Return all tags.

        Raises: StoreError.
        """
        with translated("read", self.name):
            names = [one.annotations.get(ANNOTATION_REF_NAME) for one in self._read_index().manifests]
        return [name for name in names if name]

    def delete(self, manifest: Digest) -> None:
        """Take a manifest away, and the blobs that no other one needs.

        Raises: StoreError.
        """
        with translated("write", self.name), self._changing() as index:
            kept = [one for one in index.manifests if one.digest != manifest]
            gone = {manifest, *self._blobs_of(manifest)}
            self._write_index(Index(tuple(kept)))
            for one in kept:
                gone -= {one.digest, *self._blobs_of(one.digest)}
            for digest in gone:
                with suppress(FileNotFoundError):
                    os.unlink(self._path(digest))

    def _blobs_of(self, manifest: Digest) -> set[Digest]:
        from kubeimage.image.oci import parse_document

        try:
            with open(self._path(manifest), "rb") as file:
                document = parse_document(file.read(LARGEST_DOCUMENT))
        except (OSError, ValueError, KubeimageError):
            return set()
        if isinstance(document, Index):
            inner = [self._blobs_of(one.digest) for one in document.manifests]
            return {one.digest for one in document.manifests}.union(*inner)
        return {document.config.digest, *(layer.digest for layer in document.layers)}

    def _listed(self, tag: str) -> Descriptor | None:
        with translated("read", self.name):
            for one in self._read_index().manifests:
                if one.annotations.get(ANNOTATION_REF_NAME) == tag:
                    return one
        return None

    def _read_index(self) -> Index:
        try:
            return Index.from_bytes(read_small(os.path.join(self.folder, "index.json"), most=_LARGEST_INDEX))
        except (FileNotFoundError, NotADirectoryError):
            return Index()
        except (ValueError, KubeimageError) as error:
            raise BlobCorruptError(f"{self.name} is no OCI layout: {error}") from error

    def _write_index(self, index: Index) -> None:
        replace_file(os.path.join(self.folder, "index.json"), index.to_bytes(), mode=0o644)

    @contextmanager
    def _changing(self) -> Iterator[Index]:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield self._read_index()
        finally:
            release(descriptor)

    def _make(self) -> None:
        if not os.path.isdir(os.path.join(self.folder, "blobs", "sha256")):
            os.makedirs(os.path.join(self.folder, "blobs", "sha256"), exist_ok=True)
        if not os.path.exists(os.path.join(self.folder, "oci-layout")):
            replace_file(os.path.join(self.folder, "oci-layout"), _LAYOUT, mode=0o644)

    def _path(self, digest: Digest) -> str:
        return os.path.join(self.folder, "blobs", "sha256", digest.hex)


_LARGEST_INDEX = 32 << 20

__all__ = ["LayoutShelf"]
