"""Where a state machine builds: a store that lives from its first step to its last."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Protocol

from harness.cases.kubefs import KubeFs
from harness.cases.leaks import find_leaks, mount_points, take_snapshot
from harness.fakes.context import MemoryContext
from harness.fakes.mounts import MemoryMounter
from harness.fakes.stores import MemoryBuildCache, MemoryImageStore, MemoryLayerStore
from harness.images.backends import memory_backends
from harness.stateful.agreement import memory_files
from harness.strategies.images import PLATFORMS
from harness.trees import Tree, write_tree
from kubeimage.api.backends import Backends, open_backends
from kubeimage.api.upkeep import check_store, prune_store
from kubeimage.cache import CacheRecords
from kubeimage.store import Store, cache_folder


class MachinePlace(Protocol):
    """A store, opened for each step anew, as commands do.

    Shape: where it is ``shared``, several may have it open, and none takes away what another one uses. RUN works for
           ``platforms``.
    """

    shared: bool
    platforms: Sequence[str]

    @property
    def root(self) -> str | None:
        """The store's folder; None where it has no files."""
        ...

    def open(self, context: Tree) -> AbstractContextManager[tuple[Backends, str]]:
        """Open the store, and give the path of a context with ``context`` in it."""
        ...

    def prune(self, *, keep_cache: bool) -> None:
        """Delete what nobody needs."""
        ...

    def problems(self) -> list[str]:
        """Say what is not as it should be after a step."""
        ...

    def close(self) -> None:
        """Remove it all."""
        ...


class MemoryPlace:
    """Stores, mounts and RUN in memory."""

    root = None
    shared = False
    platforms: Sequence[str] = PLATFORMS

    def __init__(self) -> None:
        self.backends = memory_backends()

    @contextmanager
    def open(self, context: Tree) -> Iterator[tuple[Backends, str]]:
        """Yield the backends."""
        found = MemoryContext(memory_files(context))
        yield replace(self.backends, collector=lambda _path: found), ""

    def prune(self, *, keep_cache: bool) -> None:
        """Forget the layers that no image and, if it is kept, no cached step has."""
        layers, images, cache = self.backends.layers, self.backends.images, self.backends.cache
        assert isinstance(layers, MemoryLayerStore)
        assert isinstance(images, MemoryImageStore)
        assert isinstance(cache, MemoryBuildCache)
        if not keep_cache:
            cache.clear()
        images.prune()

    def problems(self) -> list[str]:
        """Say what is mounted."""
        assert isinstance(self.backends.mounter, MemoryMounter)
        return [f"{self.backends.mounter.mounted} mounted"] if self.backends.mounter.mounted else []

    def close(self) -> None:
        """Release it."""


class DiskPlace:
    """The real parts, in a temporary folder."""

    shared = True
    platforms: Sequence[str] = PLATFORMS[:1]

    def __init__(self, mount: str = "auto") -> None:
        self._mount = mount
        self._folder = tempfile.mkdtemp(prefix="kubeimage-machine-")
        self.root = os.path.join(self._folder, "store")
        self._context = os.path.join(self._folder, "context")
        os.mkdir(self._context)
        self._before = take_snapshot(self._context)

    @contextmanager
    def open(self, context: Tree) -> Iterator[tuple[Backends, str]]:
        """Write the context and open the store."""
        # One after the other in one place, as an author's folder: the stat index has something to remember.
        shutil.rmtree(self._context)
        write_tree(self._context, context)
        with open_backends(self.root, mount=self._mount) as backends:
            self._before = take_snapshot(self._context)
            yield backends, self._context

    def prune(self, *, keep_cache: bool) -> None:
        """Run ``kubeimage prune``."""
        with open_backends(self.root, access="look") as backends:
            prune_store(backends, keep_cache=keep_cache)

    def problems(self) -> list[str]:
        """Run ``kubeimage fsck``, and look for mounts, processes and unfinished writes."""
        with open_backends(self.root, access="look") as backends:
            damage = [f"{one.what}: {one.where}" for one in check_store(backends) if one.damage]
        ingest = os.path.join(self.root, "ingest")
        sessions = [os.path.join(ingest, name) for name in os.listdir(ingest)] if os.path.isdir(ingest) else []
        mounts = [f"the mount {point}" for point in mount_points() if point.startswith(f"{self.root}/")]
        return damage + mounts + [str(leak) for leak in find_leaks(self._before, self._context, sessions)]

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder)


class FakeFilesPlace:
    """The real parser, collector, stores and cache, on files in memory."""

    shared = True
    platforms: Sequence[str] = PLATFORMS

    def __init__(self) -> None:
        self._kube_fs = KubeFs()
        self._kube_fs.__enter__()
        self.root = self._kube_fs.root
        self._contexts = 0

    @contextmanager
    def open(self, context: Tree) -> Iterator[tuple[Backends, str]]:
        """Write the context and open the store."""
        self._contexts += 1
        folder = self._kube_fs.write(context, f"/contexts/{self._contexts}")
        with self._kube_fs.open() as backends:
            yield backends, folder

    def prune(self, *, keep_cache: bool) -> None:
        """Collect garbage."""
        root = self._kube_fs.root
        with Store.open(root, create=False, cache=CacheRecords(cache_folder(root))) as store:
            store.collect_garbage(keep_cache=keep_cache)

    def problems(self) -> list[str]:
        """Check the store, and look for unfinished writes."""
        damage = [f"{one.what}: {one.where}" for one in self._kube_fs.check() if one.damage]
        ingest = os.path.join(self._kube_fs.root, "ingest")
        return damage + ([f"left in ingest/: {name}" for name in os.listdir(ingest)] if os.path.isdir(ingest) else [])

    def close(self) -> None:
        """Restore the real files."""
        self._kube_fs.__exit__(None, None, None)
