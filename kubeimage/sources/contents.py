"""The layers of one image that is read where it lies."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import BinaryIO, cast

from kubeimage.errors import BlobNotFoundError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.layer.compression import HEAD, detect
from kubeimage.layer.entry import Entry
from kubeimage.layer.views import LayerView, TarView
from kubeimage.protocols.sources import ImageSource
from kubeimage.sources.contentstable import has_table, open_table
from kubeimage.sources.tars import LayerTar


class SourceLayers:
    """The layers of an image in a source, by their diff_ids."""

    def __init__(self, source: ImageSource, blobs: Sequence[tuple[Digest, Descriptor]]) -> None:
        self.source = source
        self._blobs = dict(blobs)

    def open(self, diff_id: Digest) -> BinaryIO:
        """Open a layer's tar; it can seek.

        Raises: BlobNotFoundError; when it is read, BlobCorruptError, LayerFormatError, RegistryError.
        """
        descriptor = self.descriptor(diff_id)
        stream = self.source.open_blob(descriptor)
        if _is_tar(stream, descriptor):
            return stream if isinstance(stream, io.BufferedReader) else _buffered(stream)
        stream.close()
        return cast("BinaryIO", LayerTar(partial(self.source.open_blob, descriptor), descriptor))

    def entries(self, diff_id: Digest) -> Iterator[Entry]:
        """Read the entries of a layer; of a tar that is not compressed, only its headers are read.

        Raises: as ``open``.
        """
        with closing(self.view(diff_id)) as view:
            for entry, _ in view.places():
                yield entry

    def view(self, diff_id: Digest) -> LayerView:
        """Open a layer to be looked into: by the table of its contents, where its manifest names one.

        Raises: as ``open``; BlobCorruptError for another table.
        """
        descriptor = self.descriptor(diff_id)
        if has_table(descriptor):
            table = open_table(partial(self.source.open_blob, descriptor), descriptor)
            if table is not None:
                return TarView(table)
        return TarView(self.open(diff_id))

    def descriptor(self, diff_id: Digest) -> Descriptor:
        """Return what the manifest says of a layer.

        Raises: BlobNotFoundError.
        """
        if diff_id not in self._blobs:
            raise BlobNotFoundError(f"{self.source.where} has no layer {diff_id}")
        return self._blobs[diff_id]


def _is_tar(stream: BinaryIO, descriptor: Descriptor) -> bool:
    """Whether a blob is a tar as it is: registries are known to give wrong media types, so its first bytes decide."""
    if descriptor.media_type.endswith(("gzip", "zstd")):
        return False
    head = stream.read(HEAD)
    stream.seek(0)
    return detect(head) == "none"


def _buffered(stream: BinaryIO) -> BinaryIO:
    return io.BufferedReader(cast("io.RawIOBase", stream))
