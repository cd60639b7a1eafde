"""Stores in memory against stores on disk: whatever is asked of both, they say the same."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from harness.cases.modelled import entries_of
from harness.fakes.stores import MemoryBuildCache, MemoryImageStore, MemoryLayerStore
from harness.model import Layer
from harness.strategies import layers
from kubeimage.cache import CacheRecords, DirectoryBuildCache
from kubeimage.errors import KubeimageError
from kubeimage.image import document
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.protocols.cache import BuildCache, CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.images import ImageStore
from kubeimage.protocols.layers import LayerStore, StoredLayer
from kubeimage.store import Store, cache_folder

_PLATFORMS = (Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "arm", "v7"))
NAMES = tuple(Reference.parse(name) for name in ("one:1", "two:1", "two:2"))


@dataclass(frozen=True)
class Stores:
    """One of each."""

    layers: LayerStore
    images: ImageStore
    cache: BuildCache


class StoreMachine(RuleBasedStateMachine):
    """Does everything twice: in memory and on disk."""

    known_layers = Bundle("layers")
    known_images = Bundle("images")
    known_keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        blobs = MemoryLayerStore()
        cache = MemoryBuildCache(blobs)
        self.images = MemoryImageStore(blobs, cache)
        self.memory = Stores(blobs, self.images, cache)
        self._stack = ExitStack()
        self.root = os.path.join(self._stack.enter_context(tempfile.TemporaryDirectory()), "store")
        self._session = ExitStack()
        self._open()

    def _open(self) -> None:
        records = CacheRecords(cache_folder(self.root))
        self.store = self._session.enter_context(Store.open(self.root, cache=records))
        self.disk = Stores(self.store.layers, self.store.images, DirectoryBuildCache(records, self.store.layers))

    def _both(self, action: Callable[[Stores], object]) -> object:
        """Do something to both, and give what both say."""
        in_memory, on_disk = _outcome(action, self.memory), _outcome(action, self.disk)
        assert on_disk == in_memory
        return in_memory

    @rule(target=known_layers, layer=layers())
    def put_layer(self, layer: Layer) -> StoredLayer:
        """Write a layer."""
        stored = self._both(lambda stores: _without_digests(stores.layers.put(entries_of(layer))))
        assert isinstance(stored, StoredLayer)
        return stored

    @rule(layer=known_layers, wanted=known_layers)
    def add_again(self, layer: StoredLayer, wanted: StoredLayer) -> None:
        """Read a layer, and bring its bytes back in, as what they are or as another one."""

        def again(stores: Stores) -> object:
            with stores.layers.open(layer.diff_id) as tar:
                data = tar.read()
            return _without_digests(stores.layers.add(io.BytesIO(data), diff_id=wanted.diff_id)), data

        self._both(again)

    @rule(layer=known_layers)
    def ask_for_a_layer(self, layer: StoredLayer) -> None:
        """Look at a layer that may have been removed."""
        self._both(lambda stores: stores.layers.has(layer.diff_id))
        self._both(lambda stores: stores.layers.size(layer.diff_id))
        self._both(lambda stores: [one._replace(source=None) for one in stores.layers.entries(layer.diff_id)])

    @rule(
        target=known_images,
        stored=st.lists(known_layers, max_size=3),
        names=st.lists(st.sampled_from(NAMES), max_size=2),
        labels=st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), max_size=1),
    )
    def put_image(self, stored: list[StoredLayer], names: list[Reference], labels: dict[str, str]) -> Image:
        """Keep an image, whose layers may have been removed."""
        made = tuple(document.Layer(one.diff_id, one.size, "COPY", "a .") for one in stored)
        history = tuple(document.History("COPY a .") for _ in made)
        image = Image(Platform("linux", "amd64"), made, history, labels=labels)
        self._both(lambda stores: stores.images.put(image, names))
        return image

    @rule(
        images=st.lists(known_images, min_size=1, max_size=len(_PLATFORMS)),
        names=st.lists(st.sampled_from(NAMES), max_size=2),
    )
    def put_images_for_platforms(self, images: list[Image], names: list[Reference]) -> None:
        """Keep an image of several platforms, whose layers may have been removed."""
        several = [replace(one, platform=platform) for one, platform in zip(images, _PLATFORMS, strict=False)]
        self._both(lambda stores: stores.images.put_index(several, names))

    @rule(name=st.sampled_from(NAMES), platform=st.sampled_from(_PLATFORMS))
    def get_for_a_platform(self, name: Reference, platform: Platform) -> None:
        """Look for the image of a name that is for one platform."""
        self._both(lambda stores: stores.images.get(name, platform))

    @rule(name=st.sampled_from(NAMES), platform=st.sampled_from(_PLATFORMS))
    def remove_for_a_platform(self, name: Reference, platform: Platform) -> None:
        """Take away the image of a name that is for one platform, and compare what went with it."""
        self._both(lambda stores: stores.images.remove(name, platform))

    @rule(image=known_images, length=st.sampled_from((4, 6, 12, 64)))
    def find(self, image: Image, length: int) -> None:
        """Look for an image by its id."""
        self._both(lambda stores: stores.images.find(image.id.hex[:length]))

    @rule(source=st.sampled_from(NAMES), name=st.sampled_from(NAMES))
    def tag(self, source: Reference, name: Reference) -> None:
        """Add one more name to an image."""
        self._both(lambda stores: stores.images.tag(source, name))

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name: Reference) -> None:
        """Take a name away, and compare what went with it."""
        self._both(lambda stores: stores.images.remove(name))

    @rule(target=known_keys, parent=st.none() | known_keys, command=st.sampled_from("abc"))
    def think_of_a_key(self, parent: CacheKey | None, command: str) -> CacheKey:
        """Make the key of a step."""
        return CacheKey(parent.digest if parent else None, (("kind", "RUN"), ("command", command)))

    @rule(key=known_keys, layer=st.none() | known_layers)
    def record(self, key: CacheKey, layer: StoredLayer | None) -> None:
        """Remember what a step made."""
        self._both(lambda stores: stores.cache.record(key, CachedStep(layer)))

    @rule(key=known_keys)
    def look_up(self, key: CacheKey) -> None:
        """Ask the cache."""
        self._both(lambda stores: stores.cache.lookup(key))
        self._both(lambda stores: stores.cache.expects(key.digest))
        if (parent := key.parent) is not None:
            self._both(lambda stores: stores.cache.expects(parent))

    @rule(keep_cache=st.booleans())
    def prune(self, keep_cache: bool) -> None:
        """Delete what nobody needs; a new session holds nothing."""
        self.reopen()
        self.store.collect_garbage(keep_cache=keep_cache)
        if not keep_cache:
            assert isinstance(self.memory.cache, MemoryBuildCache)
            self.memory.cache.clear()
        self.images.prune()

    @rule()
    def reopen(self) -> None:
        """End the session, and begin another one."""
        self._session.close()
        self._open()

    @rule(layer=consumes(known_layers))
    def damage(self, layer: StoredLayer) -> None:
        """Write into a layer's file, as somebody else would."""
        path = os.path.join(self.root, "blobs", "sha256", layer.diff_id.hex)
        if os.path.exists(path):
            os.chmod(path, 0o644)
            with open(path, "r+b") as stream:
                stream.write(b"\xff")
            assert isinstance(self.memory.layers, MemoryLayerStore)
            blob = self.memory.layers.blobs[layer.diff_id]
            self.memory.layers.blobs[layer.diff_id] = b"\xff" + blob[1:]
            self.reopen()

    @invariant()
    def the_lists_are_the_same(self) -> None:
        """Every name leads to the same image, or to the same damage."""
        self._both(lambda stores: stores.images.records())
        for name in NAMES:
            self._both(lambda stores, name=name: stores.images.get(name))  # type: ignore[misc]

    def teardown(self) -> None:
        """End the session; nothing of it may be left."""
        self._session.close()
        assert os.listdir(os.path.join(self.root, "ingest")) == []
        self._stack.close()


def _without_digests(stored: StoredLayer) -> StoredLayer:
    return replace(stored, digests={})


def _outcome(action: Callable[[Stores], object], stores: Stores) -> object:
    try:
        return action(stores)
    except KubeimageError as error:
        return type(error)
