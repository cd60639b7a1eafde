"""What other images of the store have packed: their blobs, and what their names led to.

So packed bytes lie in the store once. A blob that was pruned is taken again from a layer that has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from functools import cached_property

from kubeimage.errors import KubeimageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import PACKED_KIND, PACKED_VALUE
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Kind
from kubeimage.layer.reader import iter_contents
from kubeimage.layer.stack import StackedLayer
from kubeimage.packing.files import LayerFiles
from kubeimage.packing.layout import blob_path
from kubeimage.packing.record import RECORD, Record
from kubeimage.protocols.images import ImageStore
from kubeimage.protocols.layers import LayerStore

_PIECE = 1 << 20


class PackedElsewhere:
    """Finds what was packed before. Nothing is read before somebody asks; images that are damaged have nothing."""

    def __init__(self, images: ImageStore, layers: LayerStore) -> None:
        self._images = images
        self._layers = layers
        self._more: dict[str, tuple[Digest, int]] = {}

    def add(self, layers: Iterable[Digest]) -> None:
        """Look into these layers as well, whoever says what is in them: a blob counts by its digest."""
        self._more.update(self._look_into(layers))

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Whether some layer has the blob, of that size."""
        found = self._find(digest)
        return found is not None and size in (None, found[1])

    def size(self, digest: Digest) -> int:
        """The bytes of a blob that some layer has."""
        found = self._find(digest)
        assert found is not None
        return found[1]

    def read(self, digest: Digest) -> Iterator[bytes]:
        """Yield the content of a blob that some layer has.

        Raises: BlobNotFoundError, BlobCorruptError, LayerFormatError.
        """
        path = blob_path(digest)
        found = self._find(digest)
        assert found is not None
        with closing(self._layers.open(found[0])) as tar:
            for entry, content in iter_contents(tar):
                if entry.path == path and content is not None:
                    while piece := content.read(_PIECE):
                        yield piece
                    return

    def meanings(self, image: Reference) -> dict[Digest, str]:
        """Return what the name led to when images of the store were built, each with the name of such an image."""
        return {
            digest: name for name, record in self._records for named, digest in record.images.items() if named == image
        }

    @cached_property
    def _found(self) -> list[tuple[str, Image]]:
        found: dict[Digest, tuple[str, Image]] = {}
        for one in self._images.records():
            name = str(one.reference) if one.reference is not None else str(one.image_id)
            if one.image_id not in found:
                with suppress(KubeimageError):
                    image = self._images.find(one.image_id.hex)
                    if image is not None:
                        found[one.image_id] = name, image
        return [*found.values()]

    def _find(self, digest: Digest) -> tuple[Digest, int] | None:
        path = blob_path(digest)
        return self._more.get(path) or self._places.get(path)

    @cached_property
    def _places(self) -> dict[str, tuple[Digest, int]]:
        return self._look_into(layer for _, image in self._found for layer in _packed_layers(image))

    def _look_into(self, layers: Iterable[Digest]) -> dict[str, tuple[Digest, int]]:
        """Return which layer holds which blob, and the blob's bytes."""
        places: dict[str, tuple[Digest, int]] = {}
        for diff_id in dict.fromkeys(layers):
            with suppress(KubeimageError):
                for entry in self._layers.entries(diff_id):
                    if entry.kind is Kind.FILE and entry.path.endswith("/data"):
                        places.setdefault(entry.path, (diff_id, entry.size))
        return places

    @cached_property
    def _records(self) -> list[tuple[str, Record]]:
        records = []
        for name, image in self._found:
            files = LayerFiles(self._layers, [StackedLayer(one) for one in _packed_layers(image)])
            with suppress(KubeimageError):
                if RECORD in files.tree:
                    records.append((name, Record.from_bytes(dict(files.read([RECORD]))[RECORD])))
        return records


def _packed_layers(image: Image) -> list[Digest]:
    """Return the layers that hold packed images, lowest first."""
    return [one.diff_id for one in image.layers if one.kind == PACKED_KIND and one.value.startswith(PACKED_VALUE)]
