"""The parts that a build works with: one real choice for each protocol, on a store that is open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from kubeimage.builder.events import ignore
from kubeimage.builder.plan import BuildOptions
from kubeimage.cache import CacheRecords, DirectoryBuildCache
from kubeimage.context import ContextCollector, StatIndex
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.mount.choose import choose_mounter
from kubeimage.protocols.cache import BuildCache
from kubeimage.protocols.context import SourceCollector
from kubeimage.protocols.images import ImageStore
from kubeimage.protocols.layers import LayerStore
from kubeimage.protocols.packing import ImagePacker
from kubeimage.protocols.running import CommandRunner, Mounter
from kubeimage.run.choose import choose_runner
from kubeimage.settings import default_root
from kubeimage.store import Store, cache_folder
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.registry.events import TransferObserver
    from kubeimage.settings import Settings

Fetch = Callable[[Reference, Platform], object]
"""Brings the image of that name, for that platform, from its registry into the store."""


@dataclass(frozen=True)
class Backends:
    """One implementation a protocol; ``collector`` makes the one for a context's path.

    Shape: without ``fetch`` no base image comes from a registry; without ``packer``, which makes the one for a
           context's path and a build's options, no container image does.
    """

    layers: LayerStore
    images: ImageStore
    cache: BuildCache
    collector: Callable[[str], SourceCollector]
    mounter: Mounter
    runner: CommandRunner
    fetch: Fetch | None = None
    packer: Callable[[str, BuildOptions], ImagePacker] | None = None


@contextmanager
def open_backends(
    root: str | None = None,
    *,
    mount: str = "auto",
    isolation: str = "auto",
    create: bool = True,
    hold: bool | None = None,
    notice: Callable[[str], None] | None = None,
    settings: Settings | None = None,
    watch: TransferObserver = ignore,
) -> Iterator[Backends]:
    """Open the real backends on the store at ``root``; what the session holds is let go at the end.

    Without ``create`` a store that is not there looks empty, and nothing is written to one that is; but with ``hold``,
    what is found there is kept from being removed by others until the end.
    ``notice`` gets what ``auto`` chose, once, and what a person should know about the cache.
    Base images are fetched as the ``settings`` say, and ``watch`` is told of it; without them none is.
    Raises: StoreAccessError, StoreFullError, StoreVersionError; UsageError for an unknown mount or isolation.
    """
    root = root or default_root()
    folder = cache_folder(root)
    records = CacheRecords(folder)
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(root, create=create, hold=hold, cache=records))
        cache = DirectoryBuildCache(records, store.layers, warn=notice)

        def collector(context: str) -> SourceCollector:
            index = StatIndex(os.path.join(folder, "contexts"), context, notice=notice)
            return ContextCollector(context, stat_index=stack.enter_context(index) if create else index)

        yield Backends(
            layers=store.layers,
            images=store.images,
            cache=cache,
            collector=collector,
            mounter=choose_mounter(mount, store.snapshots, notice),
            runner=choose_runner(isolation, notice),
            fetch=_fetcher(store, settings, watch) if settings is not None and create else None,
            packer=_packers(store, cache, folder, settings, watch) if create else None,
        )


def _fetcher(store: Store, settings: Settings, watch: TransferObserver) -> Fetch:
    def fetch(reference: Reference, platform: Platform) -> None:
        from kubeimage.registry.registries import Registries

        with Registries(settings) as registries, store.importing() as importer:
            registries.pull(reference, [platform], importer, watch)

    return fetch


def _packers(
    store: Store, cache: BuildCache, folder: str, settings: Settings | None, watch: TransferObserver
) -> Callable[[str, BuildOptions], ImagePacker]:
    def known_settings() -> Settings:
        from kubeimage.settings import read_settings

        return settings if settings is not None else read_settings()

    def packer(context: str, options: BuildOptions) -> ImagePacker:
        from kubeimage.packing.memory import Memory

        memory = Memory(os.path.join(folder, "images"))
        if options.pull_images == "off":
            from kubeimage.packing.leftout import LeftOutCounter

            return LeftOutCounter(store.layers, memory, options.search)
        from kubeimage.packing.packer import Parts, RegistryPacker

        parts = Parts(store.layers, cache, lambda: store.shelf, memory, known_settings, watch)
        return RegistryPacker(parts, options.pull_images, options.search, context)

    return packer
