"""Layers that are known and not here: each is fetched when something asks for what is in it, and no sooner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Protocol

from kubeimage.errors import KubeimageError, StoreAccessError, StoreFullError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Entry
from kubeimage.protocols.images import ImageStore
from kubeimage.protocols.layers import LayerStore, StoredLayer
from kubeimage.protocols.packing import ImagePacker, Packed, PackRequest
from kubeimage.protocols.running import Mount, Mounter
from kubeimage.protocols.transfer import Intake
from kubeimage.registry.workers import run_all
from kubeimage.remote.record import RemoteLayer
from kubeimage.remote.shelf import Shelf
from kubeimage.store.passing import PassingImageStore

if TYPE_CHECKING:
    from kubeimage.layer.splicing import Earlier


class LayerOwner(Protocol):
    """Who has layers that are not here."""

    @property
    def shelf(self) -> Shelf:
        """Where they lie."""
        ...

    def layer_is_lost(self, layer: RemoteLayer, why: str) -> None:
        """Hear that one of them could not be had."""
        ...


TakeIn = Callable[[], AbstractContextManager[Intake]]


class LayerLostError(Exception):
    """A layer that a cache promised and that cannot be had: whoever builds goes on without that cache.

    No user meets it, so it is no KubeimageError.
    """


class RemoteLayers:
    """The layers that records promise, and where each is.

    Shape: ``take_in`` opens what takes blobs into the store. ``stop`` ends all requests that are on their way.
    """

    def __init__(self, layers: LayerStore, take_in: TakeIn, stop: Callable[[], None]) -> None:
        self._layers = layers
        self._take_in = take_in
        self._stop = stop
        self._known: dict[Digest, tuple[RemoteLayer, LayerOwner]] = {}
        self._here: set[Digest] = set()

    def promise(self, layers: Iterable[RemoteLayer], owner: LayerOwner) -> None:
        """Note where layers are."""
        for layer in layers:
            self._known.setdefault(layer.diff_id, (layer, owner))

    def forget(self, owner: LayerOwner) -> None:
        """Believe nothing more of what one cache promised."""
        self._known = {digest: known for digest, known in self._known.items() if known[1] is not owner}

    def is_here(self, diff_id: Digest) -> bool:
        """Return whether the layer is in the store."""
        if diff_id not in self._here and self._layers.has(diff_id):
            self._here.add(diff_id)
        return diff_id in self._here

    def away(self, diff_ids: Iterable[Digest]) -> list[tuple[RemoteLayer, LayerOwner]]:
        """Return those of the layers that are known and not here, each once."""
        wanted = [one for one in dict.fromkeys(diff_ids) if one in self._known and not self.is_here(one)]
        return [self._known[one] for one in wanted]

    def owners(self, diff_ids: Iterable[Digest]) -> list[tuple[RemoteLayer, LayerOwner]]:
        """Return those of the layers that are known, here or not."""
        return [self._known[one] for one in dict.fromkeys(diff_ids) if one in self._known]

    def fetch(self, diff_ids: Iterable[Digest]) -> None:
        """Bring those of the layers here that are not, several at once.

        Raises: LayerLostError; StoreFullError, StoreAccessError.
        """
        away = self.away(diff_ids)
        if not away:
            return
        lost: list[tuple[RemoteLayer, LayerOwner, KubeimageError]] = []

        def bring(layer: RemoteLayer, owner: LayerOwner, intake: Intake) -> None:
            try:
                intake.put_blob(layer.blob, owner.shelf.read_blob(layer.blob))
            except (StoreFullError, StoreAccessError):
                # That is this machine's trouble, and no cache's.
                raise
            except KubeimageError as error:
                lost.append((layer, owner, error))

        with self._take_in() as intake:
            run_all([partial(bring, layer, owner, intake) for layer, owner in away], self._stop)
        for layer, owner, error in lost:
            self._lose(layer, owner, error.message)
        for layer, owner in away:
            if not self._is_as_promised(layer):
                self._lose(layer, owner, "its blob holds another layer")

    def _is_as_promised(self, layer: RemoteLayer) -> bool:
        return self.is_here(layer.diff_id) and layer.size in (None, self._layers.size(layer.diff_id))

    def _lose(self, layer: RemoteLayer, owner: LayerOwner, why: str) -> None:
        owner.layer_is_lost(layer, why)
        self.forget(owner)
        raise LayerLostError(f"the layer {layer.diff_id} cannot be had from {owner.shelf.name}: {why}")


class FetchingLayers:
    """A store of layers that fetches what is asked for and not here."""

    def __init__(self, layers: LayerStore, remote: RemoteLayers) -> None:
        self._layers = layers
        self._remote = remote

    def put(
        self,
        changeset: Sequence[Entry],
        *,
        watch: Callable[[int], None] | None = None,
        earlier: Earlier | None = None,
    ) -> StoredLayer:
        """Write a layer, as the store does."""
        return self._layers.put(changeset, watch=watch, earlier=earlier)

    def add(self, tar: BinaryIO, *, diff_id: Digest | None = None) -> StoredLayer:
        """Keep a tar, as the store does."""
        return self._layers.add(tar, diff_id=diff_id)

    def has(self, diff_id: Digest) -> bool:
        """Return whether the layer is here."""
        return self._layers.has(diff_id)

    def size(self, diff_id: Digest) -> int:
        """Return the tar's size in bytes.

        Raises: BlobNotFoundError, LayerLostError.
        """
        self._remote.fetch([diff_id])
        return self._layers.size(diff_id)

    def open(self, diff_id: Digest) -> BinaryIO:
        """Open the tar for reading.

        Raises: BlobNotFoundError, LayerLostError.
        """
        self._remote.fetch([diff_id])
        return self._layers.open(diff_id)

    def entries(self, diff_id: Digest) -> Iterator[Entry]:
        """Read the entries from the tar's headers.

        Raises: BlobNotFoundError, LayerFormatError, LayerLostError.
        """
        self._remote.fetch([diff_id])
        return self._layers.entries(diff_id)


class FetchingMounter:
    """Mounts layers that are all here by then."""

    def __init__(self, mounter: Mounter, remote: RemoteLayers) -> None:
        self._mounter = mounter
        self._remote = remote

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self._mounter.name

    def mount(self, layers: Sequence[Digest]) -> AbstractContextManager[Mount]:
        """Merge the layers, as the mounter does.

        Raises: LayerLostError, and what the mounter raises.
        """
        self._remote.fetch(layers)
        return self._mounter.mount(layers)


class FetchingPacker:
    """A packer that looks into layers which are all here by then.

    Shape: with ``counts_only``, what it would say is not worth that any layer comes: it says nothing then.
    """

    def __init__(self, packer: ImagePacker, remote: RemoteLayers, *, counts_only: bool) -> None:
        self._packer = packer
        self._remote = remote
        self._counts_only = counts_only

    def pack(self, request: PackRequest) -> Packed:
        """Pack, as the packer does.

        Raises: LayerLostError, and what the packer raises.
        """
        layers = [*request.base, *(layer.diff_id for layer in request.made)]
        if self._counts_only and self._remote.away(layers):
            return Packed()
        self._remote.fetch(layers)
        return self._packer.pack(request)


class FetchingImages(PassingImageStore):
    """A store of images whose layers are all here before an image is shown.

    Shape: ``before`` is told of each image first, whose layers are here by then.
    """

    def __init__(self, images: ImageStore, remote: RemoteLayers, before: Callable[[Image], None]) -> None:
        super().__init__(images)
        self._remote = remote
        self._before = before

    def put(self, image: Image, references: Sequence[Reference] = ()) -> Digest:
        """Keep an image, as the store does.

        Raises: LayerLostError, and what the store raises.
        """
        self._complete(image)
        return super().put(image, references)

    def put_index(self, images: Sequence[Image], references: Sequence[Reference] = ()) -> Digest:
        """Keep images for several platforms, as the store does.

        Raises: LayerLostError, and what the store raises.
        """
        for image in images:
            self._complete(image)
        return super().put_index(images, references)

    def _complete(self, image: Image) -> None:
        self._remote.fetch(layer.diff_id for layer in image.layers)
        self._before(image)


__all__ = [
    "FetchingImages",
    "FetchingLayers",
    "FetchingMounter",
    "FetchingPacker",
    "LayerLostError",
    "LayerOwner",
    "RemoteLayers",
]
