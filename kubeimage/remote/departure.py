"""An image that goes from one registry to another without coming here: its layers are where its steps were done."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO

from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor, Manifest
from kubeimage.protocols.transfer import RawLayer, WireImage, WireManifest
from kubeimage.remote.layers import LayerOwner
from kubeimage.remote.publisher import LayerSource
from kubeimage.remote.record import RemoteLayer

Away = Mapping[Digest, tuple[RemoteLayer, LayerOwner]]
"""Layers that are not here, by their diff_ids, and who has them."""


class RemoteDeparture:
    """One image on its way out, of which some layers are away.

    Raises: StoreError, where a layer that is not away is not here.
    """

    def __init__(self, image: Image, away: Away, source: LayerSource) -> None:
        self._source = source
        self._owners = {layer.blob.digest: owner for layer, owner in away.values()}
        layers = tuple(self._blob_of(layer.diff_id, away) for layer in image.layers)
        config = Descriptor(image.manifest.config.media_type, image.id, len(image.config))
        data = Manifest(config, layers, image.manifest_annotations).to_bytes()
        blobs = tuple({one.digest: one for one in (config, *layers)}.values())
        manifest = WireManifest(Descriptor.of(image.manifest.media_type, data), data, blobs)
        self._config = config.digest, image.config
        self._wire = WireImage(manifest.descriptor, data, (manifest,))

    @property
    def raw(self) -> tuple[RawLayer, ...]:
        """No layer is still to be compressed."""
        return ()

    def compress(self, layer: RawLayer) -> Generator[bytes]:
        """Nobody asks: there is no such layer."""
        raise KeyError(layer.diff_id)

    def open_growing(self, layer: RawLayer) -> BinaryIO:
        """Nobody asks: there is no such layer."""
        raise KeyError(layer.diff_id)

    def blob_of(self, layer: RawLayer) -> Descriptor:
        """Nobody asks: there is no such layer."""
        raise KeyError(layer.diff_id)

    def finish(self) -> WireImage:
        """Return the wire form of the image."""
        return self._wire

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Open a blob; one that is away is fetched into a file without a name.

        Raises: RegistryError, StoreError.
        """
        if descriptor.digest == self._config[0]:
            return BytesIO(self._config[1])
        owner = self._owners.get(descriptor.digest)
        if owner is None:
            return self._source.open_blob(descriptor)
        return _spooled(owner.shelf.read_blob(descriptor))

    def _blob_of(self, diff_id: Digest, away: Away) -> Descriptor:
        if diff_id in away:
            return away[diff_id][0].blob
        packed = self._source.pack(diff_id)
        if packed is None:
            from kubeimage.errors import BlobNotFoundError

            raise BlobNotFoundError(f"the layer {diff_id} is not there")
        return packed.blob


def _spooled(pieces: Iterator[bytes]) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115  whoever sends it closes it
    try:
        for piece in pieces:
            file.write(piece)
        file.seek(0)
    except BaseException:
        with suppress(OSError):
            file.close()
        raise
    return file


__all__ = ["Away", "RemoteDeparture"]
