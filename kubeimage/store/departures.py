"""Images in the form that they travel in: with layers compressed, and in OCI's or Docker's words.

What is compressed is kept as a blob of the store, so it is done once. All else is a few kilobytes of JSON, made anew
each time and equal each time. What need not be changed is sent byte for byte as it came.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

from kubeimage.errors import BlobCorruptError, ImageNotFoundError, UsageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer
from kubeimage.image.media_types import (
    CONFIG,
    DOCKER_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX,
    MANIFEST,
    MANIFESTS,
    Format,
    compression_of,
    format_of,
    is_layer,
    layer_type,
)
from kubeimage.image.oci import Descriptor, Index, Manifest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.sealerform import to_sealer
from kubeimage.layer.compression import Coding
from kubeimage.protocols.transfer import RawLayer, WireForm, WireImage, WireManifest
from kubeimage.store import index, manifests
from kubeimage.store.blobs import REBUILD, Blobs, NewBlob
from kubeimage.store.failures import translated
from kubeimage.store.index import Entries
from kubeimage.store.layers import DirectoryLayerStore
from kubeimage.store.layout import Layout
from kubeimage.store.lookup import Found, Lookup
from kubeimage.store.reading import ImageReader
from kubeimage.store.records import Variant
from kubeimage.store.referrers import StoreReferrers
from kubeimage.store.variants import Variants

if TYPE_CHECKING:
    from kubeimage.layer.output import Output

_GZIP = Coding("gzip")


class Parts(NamedTuple):
    """The parts of a store that an image's way out leads through."""

    layout: Layout
    blobs: Blobs
    variants: Variants
    layers: DirectoryLayerStore
    reader: ImageReader
    lookup: Lookup
    referrers: StoreReferrers


class StoreExporter:
    """Looks up images that are to travel."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def depart(self, name: Reference | Digest, form: WireForm, platform: Platform | None = None) -> StoreDeparture:
        """Look up an image by its name, or by the digest of its manifest or index.

        Raises: ImageNotFoundError, BlobNotFoundError, BlobCorruptError.
        """

        def look(entries: Entries) -> StoreDeparture | None:
            found = self._parts.lookup.find(entries, name, platform)
            return StoreDeparture(self._parts, found, form, name) if found is not None else None

        departure = index.look(self._parts.layout, look)
        if departure is None:
            raise ImageNotFoundError(
                f"no image {name}{f' for {platform}' if platform else ''} in the store",
                hint="kubeimage images lists what is there",
            )
        return departure


class _Source(NamedTuple):
    """One manifest as it is in the store."""

    descriptor: Descriptor
    data: bytes
    manifest: Manifest
    image: Image | None


class StoreDeparture:
    """One image on its way out. The parts of a store belong to one thread, so what they do is done by one at a time."""

    def __init__(self, parts: Parts, found: Found, form: WireForm, name: Reference | Digest) -> None:
        self._blobs, self._variants, self._layers = parts.blobs, parts.variants, parts.layers
        self._form = form
        self._top = found.top
        self._format: Format = form.format or format_of(found.top.media_type)
        self._name = _name_for_sealer(name) if self._format == "sealer" else None
        self._stored = [one.digest for one in (found.top, *found.manifests, *found.inner)]
        self._referrers = parts.referrers
        self._absent = found.absent
        self._inner = found.inner
        self._sources = [_read_source(parts, one) for one in found.manifests]
        self._made: dict[RawLayer, Variant] = {}
        self._growing: dict[RawLayer, str] = {}
        self._lock = threading.Lock()

    @property
    def raw(self) -> tuple[RawLayer, ...]:
        """The layers that are still to be compressed, each once."""
        wanted = [self._plan(layer) for one in self._sources for layer in one.manifest.layers if one.image]
        return tuple(dict.fromkeys(one for one in wanted if isinstance(one, RawLayer)))

    def compress(self, layer: RawLayer) -> Generator[bytes]:
        """Compress a layer and give its bytes as they come; when they are all taken, its blob is kept.

        Raises: BlobNotFoundError, BlobCorruptError, StoreFullError, StoreAccessError.
        """
        with self._blobs.writing() as file:
            self._growing[layer] = file.path
            variant = yield from _compress(self._layers, layer, file)
            with self._lock:
                self._blobs.publish(file, variant.blob, variant.blob_size)
                self._variants.add(variant)
                self._made[layer] = variant

    def open_growing(self, layer: RawLayer) -> BinaryIO:
        """Open what ``compress`` writes.

        Raises: StoreAccessError.
        """
        path = self._growing[layer]
        with translated("read", path):
            return open(path, "rb")

    def blob_of(self, layer: RawLayer) -> Descriptor:
        """Return the blob of a layer that has been compressed.

        Raises: KeyError before it is.
        """
        return self._worded(self._made[layer].descriptor)

    def finish(self) -> WireImage:
        """Compress what is still to be, and give the wire form of the image.

        Raises: BlobNotFoundError, BlobCorruptError, StoreFullError, StoreAccessError.
        """
        for layer in self.raw:
            for _ in self.compress(layer):
                pass
        return self._referrers.attach(self._wire_image(), self._stored, self._form.referrers)

    def _wire_image(self) -> WireImage:
        wired = [self._wire(one) for one in self._sources]
        unchanged = all(new.data == old.data for new, old in zip(wired, self._sources, strict=True))
        if unchanged and self._format == format_of(self._top.media_type):
            return self._as_it_came(wired)
        # A manifest that is no image is sent only where nothing had to be changed.
        images = [(new, old) for new, old in zip(wired, self._sources, strict=True) if old.image is not None]
        sent = tuple(new for new, _ in images)
        if self._top.media_type in MANIFESTS and self._format == "oci":
            return WireImage(sent[0].descriptor, sent[0].data, sent)
        listed = tuple(replace(new.descriptor, platform=self._platform(old)) for new, old in images)
        index = Index(listed, INDEX if self._format == "oci" else DOCKER_LIST)
        data = index.to_bytes()
        return WireImage(Descriptor.of(index.media_type, data), data, sent)

    def _as_it_came(self, wired: list[WireManifest]) -> WireImage:
        """Return the wire form of an image of which nothing had to be changed: the bytes that the store has."""
        data = self._blobs.read(self._top.digest, self._top.size)
        inner = tuple(WireManifest(one, self._blobs.read(one.digest, one.size), ()) for one in self._inner)
        return WireImage(self._top, data, tuple(wired), self._absent, inner)

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Open a blob of the wire form, once it is known to be whole.

        Raises: BlobNotFoundError, BlobCorruptError.
        """
        with self._lock:
            self._blobs.hold([descriptor.digest])
            if self._blobs.is_sound(descriptor.digest, descriptor.size):
                return self._blobs.open(descriptor.digest)
            if is_layer(descriptor.media_type) and self._layers.has(descriptor.digest):
                return self._layers.open_aside(descriptor.digest)
            self._blobs.size(descriptor.digest)
        raise BlobCorruptError(f"the blob {descriptor.digest} is damaged", hint=REBUILD)

    def _platform(self, source: _Source) -> Platform:
        assert source.image is not None
        return source.descriptor.platform or source.image.platform

    def _plan(self, stored: Descriptor) -> Descriptor | RawLayer:
        """Say which blob a layer travels as, or that it is to be compressed first."""
        kind = compression_of(stored.media_type)
        coding = self._form.coding
        if self._form.only_raw and kind != "none":
            coding = None
        is_zstd = (coding.kind if coding else kind) == "zstd"
        if is_zstd and self._format != "oci" and stored.media_type != layer_type("zstd", "docker"):
            # Docker's schema 2 has no word for it, though containerd has made one up.
            coding = _GZIP
        if coding is None or coding.kind == kind:
            return stored
        with self._lock:
            layer = self._variants.layer_in(stored)
            if coding.kind == "none":
                return Descriptor(layer_type("none"), layer.diff_id, layer.size)
            wanted = coding.recipe
            known = [one for one in self._variants.sound(layer.diff_id) if one.kind == coding.kind]
        # Equal input gives an equal image: what another tool has compressed is no substitute for what we would make.
        ours = next((one for one in known if one.coding == wanted), None)
        if ours is None:
            return RawLayer(layer.diff_id, layer.size, coding)
        self._variants.note_use(ours)
        return ours.descriptor

    def _wire(self, source: _Source) -> WireManifest:
        if source.image is None:
            blobs = manifests.blobs_of(self._blobs, source.descriptor)
            unique = {one.digest: one for one in blobs if one.digest != source.descriptor.digest}
            return WireManifest(source.descriptor, source.data, tuple(unique.values()))
        layers = [self._planned(layer) for layer in source.manifest.layers]
        is_stored_form = self._format == format_of(source.manifest.media_type)
        if is_stored_form and layers == list(source.manifest.layers):
            unique = {one.digest: one for one in (source.manifest.config, *layers)}
            return WireManifest(source.descriptor, source.data, tuple(unique.values()))
        config = self._config_of(source.image, source.manifest)
        worded = tuple(map(self._worded, layers))
        manifest = source.manifest._replace(
            config=config,
            layers=worded,
            media_type=MANIFEST if self._format == "oci" else DOCKER_MANIFEST,
            annotations=source.manifest.annotations if self._format == "oci" else {},
        )
        data = manifest.to_bytes()
        unique = {one.digest: one for one in (config, *worded)}
        return WireManifest(Descriptor.of(manifest.media_type, data), data, tuple(unique.values()))

    def _planned(self, stored: Descriptor) -> Descriptor:
        planned = self._plan(stored)
        assert isinstance(planned, Descriptor)
        return planned

    def _config_of(self, image: Image, manifest: Manifest) -> Descriptor:
        """Return the config's blob: the one that is stored, unless it lacks what its readers need."""
        if self._format == "sealer":
            assert self._name is not None
            data = to_sealer(image, self._name)
        else:
            data = image.complete_config(for_sealer=self._format == "docker")
        if Digest.of(data) != manifest.config.digest:
            with self._lock:
                self._blobs.put(data)
        return Descriptor.of(CONFIG if self._format == "oci" else DOCKER_CONFIG, data)

    def _worded(self, layer: Descriptor) -> Descriptor:
        """Return a layer's descriptor in the words of the format."""
        media_type = layer_type(compression_of(layer.media_type), self._format)
        annotations = layer.annotations if self._format == "oci" else {}
        return Descriptor(media_type, layer.digest, layer.size, annotations)


class LayerPacker:
    """Gives single layers the form that they travel in."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def pack(self, diff_id: Digest) -> tuple[Layer, Descriptor] | None:
        """Return a layer and a compressed blob of it, made now and kept where there is none; None where it is not here.

        Raises: BlobCorruptError, StoreFullError, StoreAccessError.
        """
        blobs, variants, layers = self._parts.blobs, self._parts.variants, self._parts.layers
        if not layers.has(diff_id):
            return None
        variant = next((one for one in variants.sound(diff_id) if one.kind != "none"), None)
        if variant is None:
            with blobs.writing() as file:
                variant = _drain(_compress(layers, RawLayer(diff_id, layers.size(diff_id), _GZIP), file))
                blobs.publish(file, variant.blob, variant.blob_size)
                variants.add(variant)
        return Layer(diff_id, variant.size), variant.descriptor

    def open_blob(self, blob: Descriptor) -> BinaryIO:
        """Open a blob that ``pack`` returned.

        Raises: BlobNotFoundError.
        """
        return self._parts.blobs.open(blob.digest)


def _compress(layers: DirectoryLayerStore, layer: RawLayer, file: NewBlob) -> Generator[bytes, None, Variant]:
    """Compress a layer into ``file``, and yield its bytes as they come; return what was made.

    Raises: BlobNotFoundError, BlobCorruptError, StoreFullError, StoreAccessError.
    """
    from kubeimage.layer.compression import compress
    from kubeimage.layer.output import Output

    with Output(file.write) as packed, Output(_forget) as tar:
        size = 0
        for piece in compress(_watched(layers.read(layer.diff_id), tar), layer.coding):
            packed.add(piece)
            size += len(piece)
            yield piece
        blob, found = packed.finish(), tar.finish()
    if found != layer.diff_id.hex:
        raise BlobCorruptError(f"the layer {layer.diff_id} is damaged", hint=REBUILD)
    return Variant(layer.diff_id, tar.size, Digest(blob), size, layer.coding.kind, layer.coding.recipe)


T = TypeVar("T")


def _drain(making: Generator[bytes, None, T]) -> T:
    """Run a generator to its end, and return what it returns."""
    while True:
        try:
            next(making)
        except StopIteration as end:
            made: T = end.value
            return made


def _read_source(parts: Parts, descriptor: Descriptor) -> _Source:
    image = parts.reader.read(descriptor) if manifests.is_for_a_machine(descriptor) else None
    data = parts.blobs.read(descriptor.digest, descriptor.size)
    return _Source(descriptor, data, manifests.read_manifest(parts.blobs, descriptor), image)


def _name_for_sealer(name: Reference | Digest) -> Reference:
    """Return the name that sealer is to keep an image under.

    Raises: UsageError where there is none.
    """
    if isinstance(name, Reference) and name.digest is None:
        return name
    raise UsageError(
        f"sealer keeps an image under its name, and {name} is none", hint="name it first: kubeimage tag IMAGE NAME"
    )


def _watched(pieces: Iterator[bytes], output: Output) -> Iterator[bytes]:
    for piece in pieces:
        output.add(piece)
        yield piece


def _forget(_piece: bytes | memoryview) -> None:
    """A tar that is only hashed goes nowhere."""
