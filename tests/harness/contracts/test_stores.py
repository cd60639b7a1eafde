"""The stores and the cache, in memory, in directories, and on a faked filesystem, against one contract."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cases.kubefs import KubeFs
from harness.contracts import BuildCacheContract, ImageStoreContract, LayerStoreContract
from harness.fakes.stores import MemoryBuildCache, MemoryImageStore, MemoryLayerStore
from kubeimage.cache import CacheRecords, DirectoryBuildCache
from kubeimage.image.digest import Digest
from kubeimage.protocols.cache import BuildCache
from kubeimage.protocols.images import ImageStore
from kubeimage.protocols.layers import LayerStore
from kubeimage.store import Store, cache_folder


@dataclass(frozen=True)
class Stores:
    layers: LayerStore
    images: ImageStore
    cache: BuildCache
    root: str | None = None


def memory_stores() -> Stores:
    layers = MemoryLayerStore()
    cache = MemoryBuildCache(layers)
    return Stores(layers, MemoryImageStore(layers, cache), cache)


def directory_stores(store: Store, records: CacheRecords) -> Stores:
    return Stores(store.layers, store.images, DirectoryBuildCache(records, store.layers), store.root)


@pytest.fixture(params=["memory", "directory", "pyfakefs"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    if request.param == "memory":
        yield memory_stores()
        return
    with KubeFs() if request.param == "pyfakefs" else nullcontext():
        root = KubeFs.root if request.param == "pyfakefs" else str(tmp_path / "store")
        records = CacheRecords(cache_folder(root))
        with Store.open(root, cache=records) as store:
            yield directory_stores(store, records)
            assert [one for one in store.check() if one.damage and "missing" not in one.what] == []
        assert os.listdir(os.path.join(root, "ingest")) == []


@pytest.fixture
def layer_store(stores: Stores) -> LayerStore:
    return stores.layers


@pytest.fixture
def image_store(stores: Stores) -> ImageStore:
    return stores.images


@pytest.fixture
def build_cache(stores: Stores) -> BuildCache:
    return stores.cache


class _CanLose:
    @pytest.fixture(autouse=True)
    def _know_stores(self, stores: Stores) -> None:
        self._root = stores.root

    def lose(self, layer_store: LayerStore, diff_id: Digest) -> None:
        if isinstance(layer_store, MemoryLayerStore):
            del layer_store.blobs[diff_id]
        else:
            assert self._root is not None
            os.unlink(os.path.join(self._root, "blobs", "sha256", diff_id.hex))


class TestLayerStores(LayerStoreContract):
    pass


class TestImageStores(_CanLose, ImageStoreContract):
    pass


class TestBuildCaches(_CanLose, BuildCacheContract):
    pass
