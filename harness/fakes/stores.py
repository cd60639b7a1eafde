"""Stores and a build cache in memory, with the digests and the rules of the real ones."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO, NamedTuple

from kubeimage.errors import BlobCorruptError, BlobNotFoundError, ImageNotFoundError, ReferenceFormatError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import MEDIA_TYPE_MANIFEST, Descriptor, Index
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Entry
from kubeimage.layer.output import watched
from kubeimage.layer.reader import iter_entries
from kubeimage.layer.splicing import Earlier
from kubeimage.layer.writer import write_layer
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.images import ImageRecord
from kubeimage.protocols.layers import LayerStore, StoredLayer

_SHORTEST_ID = 6


class MemoryLayerStore:
    """Layers' tars as bytes. ``blobs`` may be changed to play a damaged or pruned store."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self._sound: dict[Digest, bytes] = {}

    def put(
        self,
        changeset: Sequence[Entry],
        *,
        watch: Callable[[int], None] | None = None,
        earlier: Earlier | None = None,  # noqa: ARG002 - nothing here takes long
    ) -> StoredLayer:
        """Keep ``changeset`` as a canonical tar."""
        pieces: list[bytes] = []

        def keep(piece: bytes | memoryview) -> None:
            pieces.append(bytes(piece))

        written = write_layer(changeset, keep if watch is None else watched(keep, watch))
        self._keep(written.diff_id, pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return written

    def add(self, tar: BinaryIO, *, diff_id: Digest | None = None) -> StoredLayer:
        """Keep an existing tar, once its digest and its entries are found good."""
        data = tar.read()
        found = Digest.of(data)
        if diff_id is not None and found != diff_id:
            raise BlobCorruptError(f"the layer {diff_id} was asked for, but the tar is {found}")
        for _ in iter_entries(io.BytesIO(data)):
            pass
        self._keep(found, data)
        return StoredLayer(found, len(data))

    def has(self, diff_id: Digest) -> bool:
        """Whether the layer is there and undamaged; bytes that were looked at before are known by identity."""
        data = self.blobs.get(diff_id)
        if data is None:
            return False
        if self._sound.get(diff_id) is not data and Digest.of(data) == diff_id:
            self._sound[diff_id] = data
        return self._sound.get(diff_id) is data

    def size(self, diff_id: Digest) -> int:
        """The tar's size in bytes."""
        return len(self._get(diff_id))

    def open(self, diff_id: Digest) -> BinaryIO:
        """Open the tar for reading."""
        return io.BytesIO(self._get(diff_id))

    def entries(self, diff_id: Digest) -> Iterator[Entry]:
        """Read the entries from the tar's headers."""
        yield from iter_entries(self.open(diff_id))

    def _keep(self, diff_id: Digest, data: bytes) -> None:
        if not self.has(diff_id):
            self.blobs[diff_id] = self._sound[diff_id] = data

    def _get(self, diff_id: Digest) -> bytes:
        try:
            return self.blobs[diff_id]
        except KeyError:
            raise BlobNotFoundError(f"the blob {diff_id} is not in the store") from None


class _Kept(NamedTuple):
    """What a name leads to. Shape: ``images`` are those that are left; ``digest`` is the manifest's, or the index's."""

    digest: Digest
    images: tuple[Image, ...]

    @property
    def blobs(self) -> set[Digest]:
        """Everything that the images need."""
        return {self.digest} | {blob for image in self.images for blob in _blobs_of(image)}


class MemoryImageStore:
    """Images by name. Where ``layers`` is given, an image needs all of its there, and removing one frees them."""

    def __init__(self, layers: MemoryLayerStore | None = None, cache: MemoryBuildCache | None = None) -> None:
        self._layers = layers
        self._cache = cache
        self._names: dict[Reference, _Kept] = {}
        self._nameless: dict[Digest, _Kept] = {}

    def put(self, image: Image, references: Sequence[Reference] = ()) -> Digest:
        """Keep ``image`` and name it."""
        return self._put(_Kept(_manifest_of(image), (image,)), references)

    def put_index(self, images: Sequence[Image], references: Sequence[Reference] = ()) -> Digest:
        """Keep ``images`` as one and name it."""
        data = [image.manifest.to_bytes() for image in images]
        listed = [
            replace(Descriptor.of(MEDIA_TYPE_MANIFEST, one), platform=image.platform)
            for image, one in zip(images, data, strict=True)
        ]
        digest = Digest.of(Index(tuple(listed)).to_bytes())
        return self._put(_Kept(digest, tuple(images)), references)

    def get(self, reference: Reference, platform: Platform | None = None) -> Image | None:
        """Return the image of that name."""
        images = next((self._names[name].images for name in self._find(reference)), ())
        found = (platform or Platform.host()).choose(images, lambda image: image.platform)
        chosen = next(iter(found if platform is not None else [*found, *images]), None)
        if chosen is not None:
            self._check(chosen)
        return chosen

    def find(self, image_id: str) -> Image | None:
        """Return the image whose id starts with ``image_id``, if it is the only one."""
        found = {image.id: image for image in self._images() if image.id.hex.startswith(image_id)}
        if len(found) != 1 or len(image_id) < _SHORTEST_ID:
            return None
        (image,) = found.values()
        self._check(image)
        return image

    def records(self, reference: Reference | None = None) -> list[ImageRecord]:
        """Every name, sorted; with a ``reference``, that one."""
        named = [(name, kept) for name, kept in self._names.items() if reference in (None, name)]
        nameless = [(None, kept) for kept in self._nameless.values() if reference is None]
        records = [_record(name, image) for name, kept in [*named, *nameless] for image in kept.images]
        return sorted(records, key=lambda record: record.place)

    def tag(self, source: Reference, target: Reference) -> None:
        """Add another name to the image."""
        name = _as_name(target)
        self._names[name] = self._names[self._find_one(source)]
        self._nameless.pop(self._names[name].digest, None)

    def remove(self, reference: Reference, platform: Platform | None = None) -> list[Digest]:
        """Take a name away, and the blobs that neither another image nor the build cache needs."""
        self._find_one(reference)
        gone: set[Digest] = set()
        for name in self._find(reference):
            gone |= self._take(name, platform)
        garbage = gone - self._needed()
        if self._layers is not None:
            for blob in garbage:
                self._layers.blobs.pop(blob, None)
        return sorted(garbage)

    def prune(self) -> None:
        """Delete images without a name, and the layers that neither an image nor the build cache needs."""
        self._nameless.clear()
        if self._layers is not None:
            for blob in self._layers.blobs.keys() - self._needed():
                del self._layers.blobs[blob]

    def _needed(self) -> set[Digest]:
        cached = self._cache.layers() if self._cache is not None else set()
        return cached.union(*(kept.blobs for kept in self._all()))

    def _put(self, kept: _Kept, references: Sequence[Reference]) -> Digest:
        names = [_as_name(reference) for reference in references]
        for image in kept.images:
            self._check_presence(image)
            self._check(image)
        for name in names:
            self._names[name] = kept
        if names:
            self._nameless.pop(kept.digest, None)
        elif kept.digest not in {one.digest for one in self._names.values()}:
            self._nameless[kept.digest] = kept
        return kept.digest

    def _take(self, name: Reference, platform: Platform | None) -> set[Digest]:
        """Take a name away for one platform, or for all, and give what it needed."""
        kept = self._names[name]
        left = tuple(one for one in kept.images if platform is not None and not platform.matches(one.platform))
        if len(left) == len(kept.images):
            raise ImageNotFoundError(f"no image {name} for {platform} in the store")
        if left:
            self._names[name] = kept._replace(images=left)
        else:
            del self._names[name]
        return kept.blobs

    def _all(self) -> list[_Kept]:
        return [*self._names.values(), *self._nameless.values()]

    def _images(self) -> list[Image]:
        return [image for kept in self._all() for image in kept.images]

    def _check_presence(self, image: Image) -> None:
        """Look for layers that are missing, before any is looked into."""
        if self._layers is not None:
            for layer in image.layers:
                self._layers.size(layer.diff_id)

    def _check(self, image: Image) -> None:
        if self._layers is None:
            return
        for layer in image.layers:
            if self._layers.size(layer.diff_id) != layer.size or not self._layers.has(layer.diff_id):
                raise BlobCorruptError(f"the layer {layer.diff_id} is damaged")

    def _find(self, reference: Reference) -> list[Reference]:
        if reference.digest is None:
            return [reference] if reference in self._names else []
        return [
            name
            for name, kept in self._names.items()
            if (name.domain, name.repository) == (reference.domain, reference.repository)
            and reference.tag in ("", name.tag)
            and kept.digest == reference.digest
        ]

    def _find_one(self, reference: Reference) -> Reference:
        found = self._find(reference)
        if not found:
            raise ImageNotFoundError(f"no image {reference} in the store")
        return found[0]


class MemoryBuildCache:
    """What steps made, by key. Where ``layers`` is given, a hit needs its layer there."""

    def __init__(self, layers: LayerStore | None = None) -> None:
        self._layers = layers
        self._steps: dict[Digest, tuple[CacheKey, CachedStep]] = {}
        self._after: dict[Digest | None, dict[Digest, None]] = {}

    def foresee(self, first: CacheKey, keys: Iterable[CacheKey]) -> None:
        """Everything is at hand: no key is taken."""

    foresee_each = foresee

    def lookup(self, key: CacheKey) -> CachedStep | None:
        """Return what the step with this key made, or None."""
        found = self._steps.get(key.digest)
        return found[1] if found is not None and self._is_there(found[1].layer) else None

    def record(self, key: CacheKey, step: CachedStep) -> None:
        """Remember what a step made; what was made on top of another result is forgotten."""
        layer = step.layer and StoredLayer(step.layer.diff_id, step.layer.size)
        before = self._steps.get(key.digest)
        if before is None or before[1].layer != layer:
            self._forget_after(key.digest)
        self._steps[key.digest] = key, CachedStep(layer)
        self._after.setdefault(key.parent, {})[key.digest] = None

    def expects(self, parent: Digest) -> bool:
        """Whether any step after ``parent`` is remembered."""
        return parent in self._after

    def nearest(self, key: CacheKey) -> CacheKey | None:
        """Return the remembered key with the same parent that is most like ``key``, the newest of equals."""
        siblings = [self._steps[digest][0] for digest in reversed(self._after.get(key.parent, {}))]
        alike = [one for one in siblings if one.fields[:1] == key.fields[:1]]
        return max(alike, key=lambda one: _likeness(key, one), default=None)

    def layers(self) -> set[Digest]:
        """Return the layers that are remembered."""
        return {step.layer.diff_id for _, step in self._steps.values() if step.layer is not None}

    def clear(self) -> None:
        """Forget everything."""
        self._steps.clear()
        self._after.clear()

    def _is_there(self, layer: StoredLayer | None) -> bool:
        return layer is None or self._layers is None or self._layers.has(layer.diff_id)

    def _forget_after(self, parent: Digest) -> None:
        for digest in self._after.pop(parent, {}):
            del self._steps[digest]
            self._forget_after(digest)


def _likeness(key: CacheKey, other: CacheKey) -> tuple[int, int]:
    same = len(set(key.fields).intersection(other.fields)) - len(other.fields)
    return same, -len(set(key.sources).symmetric_difference(other.sources))


def _as_name(reference: Reference) -> Reference:
    if not reference.tag:
        raise ReferenceFormatError(f"{str(reference)!r} cannot be a name of an image: it has a digest and no tag")
    return reference.with_tag(reference.tag)


def _manifest_of(image: Image) -> Digest:
    return Digest.of(image.manifest.to_bytes())


def _blobs_of(image: Image) -> set[Digest]:
    return {_manifest_of(image), image.id, *(layer.diff_id for layer in image.layers)}


def _record(reference: Reference | None, image: Image) -> ImageRecord:
    return ImageRecord(reference, image.platform, _manifest_of(image), image.id)
