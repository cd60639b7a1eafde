"""The parts that operations work with: one real choice for each protocol, on a store that is open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Literal, Protocol

from kubeimage.cache import CacheRecords, DirectoryBuildCache
from kubeimage.errors import UsageError
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Naming, Reference
from kubeimage.image.trust import TrustPolicy
from kubeimage.mount.choose import choose_mounter
from kubeimage.protocols.watching import ignore
from kubeimage.run.choose import choose_runner, mount_for
from kubeimage.settings import RunSettings, Settings, default_root, read_settings
from kubeimage.sources import ImageSources
from kubeimage.store import Store, cache_folder
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.builder.plan import BuildOptions
    from kubeimage.image.config import Image
    from kubeimage.image.oci import Manifest
    from kubeimage.layer.stack import LayerReader
    from kubeimage.protocols.cache import BuildCache
    from kubeimage.protocols.context import SourceCollector
    from kubeimage.protocols.images import ImageStore
    from kubeimage.protocols.layers import LayerStore
    from kubeimage.protocols.packing import ImagePacker
    from kubeimage.protocols.running import CommandRunner, Mounter
    from kubeimage.registry.events import TransferObserver

Access = Literal["write", "read", "look"]
"""What backends are opened for. Each of them includes what stands behind it.

- ``write``: contents are added. What is used is kept from being removed by others.
- ``read``: contents are read, and kept from being removed by others meanwhile.
- ``look``: names and documents only, and nothing is kept. Names are given and taken so, and a store is cared for.
"""

Fetch = Callable[[Reference, Platform], object]
"""Brings the image of that name, for that platform, from its registry into the store."""

Packer = Callable[[str, "BuildOptions", "LayerStore", "BuildCache"], "ImagePacker"]
"""Makes what packs container images, for a context's path and a build's options, with these layers and this cache."""

_ACCESSES: tuple[Access, ...] = ("look", "read", "write")


class Sharing(Protocol):
    """A build cache that is shared with other machines."""

    def give_up(self) -> None:
        """Forget what the others promised, for a layer of theirs could not be had."""
        ...

    def leave_bases(self) -> Backends:
        """Return backends whose base images stay in their registry, where they can: for a build that is pushed."""
        ...

    def push_from_afar(self, image: Image, references: Sequence[Reference], observe: TransferObserver) -> bool:
        """Push an image of which layers are with the others, keeping nothing of it here; return whether it was one.

        Raises: RegistryError, CredentialsError, StoreError.
        """
        ...


@dataclass(frozen=True)
class Backends:
    """One implementation of each protocol; ``collector`` makes the one for a context's path.

    Shape: without ``fetch`` no base image comes from a registry.
           Without ``packer`` no container image is packed.
           ``store`` is the store on disk that the others work on, None where there is none, as in memory.
           ``sharing`` is what other machines know of builds, where somebody named them.
           ``settings`` None stands for what the configuration file says, where a registry is asked by name.
           ``sources`` opens images outside the store; without it there are none.
    """

    layers: LayerStore
    images: ImageStore
    cache: BuildCache
    collector: Callable[[str], SourceCollector]
    mounter: Mounter
    runner: CommandRunner
    fetch: Fetch | None = None
    packer: Packer | None = None
    access: Access = "write"
    settings: Settings | None = None
    store: Store | None = None
    sources: ImageSources | None = None
    sharing: Sharing | None = None

    @property
    def naming(self) -> Naming:
        """How short names are completed."""
        return self.settings.naming if self.settings is not None else Naming()

    @property
    def trust(self) -> TrustPolicy:
        """Which images must be signed by whom; without settings, none."""
        return self.settings.trust if self.settings is not None else TrustPolicy()

    def known_settings(self) -> Settings:
        """Return the settings, read from the configuration file where none were given.

        Raises: SettingsError.
        """
        return self.settings if self.settings is not None else read_settings()

    def contents_of(self, image: Image) -> LayerReader:
        """Return what opens the layers of an image that was found here, wherever it lies."""
        opened = self.sources.find(image) if self.sources is not None else None
        return opened.layers if opened is not None else self.layers

    @property
    def fetched(self) -> int:
        """How many bytes of images outside the store came over a network so far."""
        return self.sources.fetched if self.sources is not None else 0

    def manifest_of(self, image: Image) -> Manifest:
        """Return the manifest that led to an image that was found here."""
        opened = self.sources.find(image) if self.sources is not None else None
        return opened.manifest if opened is not None else image.manifest

    def require(self, access: Access) -> None:
        """Find out whether the backends were opened for as much as ``access``.

        Raises: UsageError.
        """
        if _ACCESSES.index(self.access) < _ACCESSES.index(access):
            raise UsageError(
                f"these backends were opened to {self.access}, and this has to {access}",
                hint=f"open_backends(root, access={access!r})",
            )

    def store_on_disk(self, access: Access) -> Store:
        """Return the store, which was opened for as much as ``access``.

        Raises: UsageError where it was not, or where there is no store on disk.
        """
        self.require(access)
        if self.store is None:
            raise UsageError("these backends have no store on disk", hint="make them with open_backends")
        return self.store


@contextmanager
def open_backends(
    root: str | None = None,
    settings: Settings | None = None,
    *,
    access: Access = "write",
    mount: str = "auto",
    isolation: str = "auto",
    run: RunSettings | None = None,
    notice: Callable[[str], None] | None = None,
    watch: TransferObserver = ignore,
    durable: bool = True,
) -> Iterator[Backends]:
    """Open the real backends on the store at ``root``; what the session holds is let go at the end.

    A store that is not there looks empty. With ``access="write"`` it is made when the first thing is put into it.
    ``settings`` complete short names, and say how base images are fetched; without them none is.
    ``run`` is what a RUN sees and may use; without it, what ``settings`` say.
    ``watch`` is told of what is fetched for a build.
    Without ``durable`` nobody waits for the disk: for a store that goes with the process, and with the machine.
    ``notice`` gets what ``auto`` chose, once, and what a person should know about the cache.
    Raises: StoreAccessError, StoreVersionError; UsageError for an unknown access, mount or isolation,
        or for a place that cannot be shown to a RUN.
    """
    if access not in _ACCESSES:
        raise UsageError(f"no access is called {access!r}", hint=f"choose one of {', '.join(_ACCESSES)}")
    root = root or default_root()
    writes = access == "write"
    folder = cache_folder(root)
    records = _Records(folder)
    with ExitStack() as stack:
        opened = Store.open(root, create=False, hold=access != "look", keep=writes, cache=records, durable=durable)
        store = stack.enter_context(opened)
        cache = DirectoryBuildCache(records, store.layers, warn=notice, notes_uses=writes)
        sources = stack.enter_context(ImageSources(lambda: settings if settings is not None else read_settings()))
        yield Backends(
            layers=store.layers,
            images=store.images,
            cache=cache,
            collector=_collectors(store, folder, settings, notice, saves=stack if writes else None),
            mounter=choose_mounter(mount_for(isolation, mount), store.snapshots, notice),
            runner=choose_runner(isolation, notice, run or (settings.run if settings is not None else None)),
            fetch=_fetcher(store, settings, watch) if settings is not None and writes else None,
            packer=_packers(store, folder, settings, watch) if writes else None,
            access=access,
            settings=settings,
            store=store,
            sources=sources,
        )


def _collectors(
    store: Store,
    folder: str,
    settings: Settings | None,
    notice: Callable[[str], None] | None,
    *,
    saves: ExitStack | None,
) -> Callable[[str], SourceCollector]:
    """Return what makes the collector of a context; what it has learnt is kept when ``saves`` ends."""
    young = (settings or Settings()).index_age

    def collector(context: str) -> SourceCollector:
        from kubeimage.context import ContextCollector, StatIndex

        if young is None:
            return ContextCollector(context, store=store.root)
        index = StatIndex(os.path.join(folder, "contexts"), context, notice=notice, young=young)
        if saves is not None:
            saves.callback(lambda: index.save() if store.is_there else None)
        return ContextCollector(context, stat_index=index, store=store.root)

    return collector


def _fetcher(store: Store, settings: Settings, watch: TransferObserver) -> Fetch:
    def fetch(reference: Reference, platform: Platform) -> None:
        from kubeimage.registry.registries import Registries

        with Registries(settings) as registries, store.importing() as importer:
            registries.pull(reference, [platform], importer, watch)

    return fetch


def _packers(store: Store, folder: str, settings: Settings | None, watch: TransferObserver) -> Packer:
    def known_settings() -> Settings:
        return settings if settings is not None else read_settings()

    def packer(context: str, options: BuildOptions, layers: LayerStore, cache: BuildCache) -> ImagePacker:
        from kubeimage.packing.memory import Memory
        from kubeimage.packing.parts import Parts

        memory = Memory(os.path.join(folder, "images"))
        parts = Parts(layers, store.images, cache, lambda: store.shelf, memory, known_settings, watch)
        if options.pull_images != "off":
            from kubeimage.image.referrers import NO_REFERRERS
            from kubeimage.packing.packer import RegistryPacker

            choice = options.referrers if options.referrers is not None else known_settings().referrers
            return RegistryPacker(
                parts, options.pull_images, options.search, context, options.lock, referrers=choice or NO_REFERRERS
            )
        from kubeimage.packing.leftout import LeftOutCounter

        counter = LeftOutCounter(layers, memory, options.search)
        if options.lock is None:
            return counter
        from kubeimage.packing.locking import LockChecker
        from kubeimage.packing.survey import Surveyor

        surveyor = Surveyor(layers, memory, options.search, context)
        return LockChecker(parts, options.lock, surveyor, counter)

    return packer


class _Records(CacheRecords):
    """All that lies in the store's ``cache/``: the build cache, and what is remembered of build contexts."""

    def check(self, layers: set[Digest], *, repair: bool) -> list[tuple[str, str, bool]]:
        """Check the indexes of build contexts as well."""
        from kubeimage.context.indexfile import damaged_indexes

        damaged = damaged_indexes(os.path.join(self.directory, "contexts"))
        for path in damaged if repair else ():
            with suppress(OSError):
                os.unlink(path)
        found = super().check(layers, repair=repair)
        return [*found, *((path, "the index of a build context is damaged", True) for path in damaged)]


__all__ = ["Access", "Backends", "Fetch", "Packer", "Sharing", "open_backends"]
