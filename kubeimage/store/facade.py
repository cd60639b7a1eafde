"""A store that is open: its parts, and the session that they share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kubeimage.errors import StoreError
from kubeimage.framing import check_argument
from kubeimage.image.digest import Digest
from kubeimage.store.blobs import Blobs
from kubeimage.store.images import DirectoryImageStore
from kubeimage.store.index import Entries
from kubeimage.store.layers import DirectoryLayerStore
from kubeimage.store.layout import Layout
from kubeimage.store.reading import ImageReader
from kubeimage.store.session import Session
from kubeimage.store.variants import Variants

if TYPE_CHECKING:
    from kubeimage.image.platform import Platform
    from kubeimage.image.reference import Reference
    from kubeimage.protocols.transfer import Budget
    from kubeimage.store.arrivals import StoreImporter
    from kubeimage.store.departures import LayerPacker, StoreExporter
    from kubeimage.store.departures import Parts as DepartureParts
    from kubeimage.store.fsck import Finding
    from kubeimage.store.garbage import GarbageReport
    from kubeimage.store.gc import CacheRecords, Collector
    from kubeimage.store.policy import PrunePolicy
    from kubeimage.store.referrers import StoreReferrers
    from kubeimage.store.shelf import BlobShelf
    from kubeimage.store.snapshots import DirectorySnapshotStore, Form


class Store:
    """An image store in a directory, open until ``close``.

    It belongs to one thread; who builds in several opens it in each. Opening reads one small file.
    """

    def __init__(self, layout: Layout, *, hold: bool, keep: bool, cache: CacheRecords | None = None) -> None:
        self._layout = layout
        self._session = Session(layout)
        self._keeps = keep
        self._cache = cache
        self._blobs = Blobs(layout, self._session, hold=hold)
        self._variants = Variants(layout, self._session, self._blobs, working=hold)
        self._reader = ImageReader(layout, self._blobs, self._variants, working=hold)

    @classmethod
    def open(
        cls,
        root: str,
        *,
        create: bool = True,
        hold: bool | None = None,
        keep: bool | None = None,
        cache: CacheRecords | None = None,
        durable: bool = True,
    ) -> Self:
        """Open the store at ``root``; where there is none, ``create`` makes it, else it looks empty.

        Shape:  with ``hold``, which is as ``create`` is unless it is given, what is found is verified and kept from
                being removed by others until the store is closed.
                With ``keep``, which is as ``create`` is unless it is given, what has to be uncompressed stays so.
                Without either, nothing is written by reading.
                ``cache`` is what lies in ``cache_folder(root)``.
                Without ``durable`` nobody waits for the disk: such a store may be damaged after a power cut.
        Raises: StoreVersionError for a newer store; StoreAccessError, StoreFullError.
        """
        check_argument(root, "the store's path")
        layout = Layout(os.path.abspath(root), durable=durable)
        store = cls(layout, hold=create if hold is None else hold, keep=create if keep is None else keep, cache=cache)
        # A newer store is refused whatever is wanted of it.
        if not store.is_there and create:
            store._make()
        return store

    def make(self) -> None:
        """Make the store, where there is none.

        Raises: StoreAccessError, StoreFullError.
        """
        if not self.is_there:
            self._make()

    def _make(self) -> None:
        try:
            self._session.folder()
        except BaseException:
            self._session.close()
            raise

    @property
    def is_there(self) -> bool:
        """Whether there is a store, and not only a place for one.

        Raises: StoreVersionError, StoreAccessError.
        """
        return self._layout.is_complete()

    @property
    def root(self) -> str:
        """The absolute path of the store."""
        return self._layout.root

    @cached_property
    def layers(self) -> DirectoryLayerStore:
        """The layers' tars."""
        return DirectoryLayerStore(self._session, self._blobs, self._variants, keep=self._keeps)

    @cached_property
    def images(self) -> DirectoryImageStore:
        """The images under their names."""
        return DirectoryImageStore(
            self._layout,
            self._session,
            self._blobs,
            self.layers,
            self._reader,
            remove=self._remove_entries,
        )

    @cached_property
    def snapshots(self) -> DirectorySnapshotStore:
        """The unpacked layers, in the form that this user's mounts understand."""
        return self.snapshots_in(None)

    def snapshots_in(self, form: Form | None) -> DirectorySnapshotStore:
        """Return the unpacked layers in one form: ``user`` for overlays mounted with userxattr."""
        from kubeimage.store.snapshots import DirectorySnapshotStore

        return DirectorySnapshotStore(self._layout, self._session, self.layers, form)

    @contextmanager
    def importing(self, budget: Budget | None = None) -> Iterator[StoreImporter]:
        """Take in one image from elsewhere; without a ``commit`` there is none.

        Raises: StoreFullError, StoreAccessError.
        """
        from kubeimage.protocols.transfer import Budget
        from kubeimage.store.arrivals import StoreImporter
        from kubeimage.store.lookup import Lookup

        self._session.folder()
        yield StoreImporter(
            self._blobs,
            self._variants,
            images=self.images,
            reader=self._reader,
            lookup=Lookup(self._layout, self._blobs),
            budget=budget or Budget(),
        )

    @cached_property
    def referrers(self) -> StoreReferrers:
        """The artefacts that refer to images."""
        from kubeimage.store.referrers import StoreReferrers

        return StoreReferrers(self._layout, self._session, self._blobs)

    @cached_property
    def shelf(self) -> BlobShelf:
        """Where blobs of container images wait for the layer that is made of them."""
        from kubeimage.store.shelf import BlobShelf

        self._session.folder()
        return BlobShelf(self._layout, self._blobs)

    @cached_property
    def exporter(self) -> StoreExporter:
        """What gives images the form that they travel in."""
        from kubeimage.store.departures import StoreExporter

        return StoreExporter(self._departing)

    @cached_property
    def packer(self) -> LayerPacker:
        """What gives single layers the form that they travel in."""
        from kubeimage.store.departures import LayerPacker

        return LayerPacker(self._departing)

    @cached_property
    def _departing(self) -> DepartureParts:
        from kubeimage.store.departures import Parts
        from kubeimage.store.lookup import Lookup

        lookup = Lookup(self._layout, self._blobs)
        return Parts(self._layout, self._blobs, self._variants, self.layers, self._reader, lookup, self.referrers)

    def has_blob(self, digest: Digest, size: int) -> bool:
        """Whether there is a blob of that size; nothing is read, and nothing kept.

        Raises: StoreAccessError.
        """
        return self._blobs.is_there(digest, size)

    def list_platforms(self, name: Reference) -> tuple[Digest, dict[Platform, Digest]] | None:
        """Return the digest of what a name leads to, and that of the manifest of each platform; None for no image.

        Shape:  of an index, platforms that are not in the store are there as well.
        Raises: BlobNotFoundError, BlobCorruptError; StoreError.
        """
        from kubeimage.store.lookup import list_platforms

        return list_platforms(self._layout, self._blobs, name)

    def last_use(self, manifest: Digest) -> float | None:
        """Return when the image of a manifest was last used, or came here; None where it is not there.

        Units:  seconds since 1970.
        """
        from kubeimage.store.uses import last_use

        return last_use(self._layout, manifest)

    def collect_garbage(
        self, *, keep_cache: bool = True, dry_run: bool = False, policy: PrunePolicy | None = None
    ) -> GarbageReport:
        """Remove what neither an image nor a running session of anybody else refers to, nor the cache if it is kept.

        With a ``policy``, the cache is kept but for what that lets go.
        Raises: StoreError, StoreAccessError.
        """
        return self._collector.collect(keep_cache=keep_cache, dry_run=dry_run, policy=policy)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of all files of the store, by what they are for: see `Collector.sizes`.

        Raises: StoreError, StoreAccessError.
        """
        return self._collector.sizes()

    def check(self, *, repair: bool = False) -> list[Finding]:
        """Verify every digest, size and reference; with ``repair``, remove and rebuild what can be safely.

        Raises: StoreAccessError.
        """
        from kubeimage.store.fsck import check

        return check(
            self._layout,
            self._session,
            self._blobs,
            variants=self._variants,
            layers=self.layers,
            cache=self._cache,
            repair=repair,
        )

    def close(self) -> None:
        """End the session: nothing is held any more, nothing of it is left in ``ingest/``."""
        try:
            # Blobs that never made it into an image are only worth their mark; without it they will be hashed.
            with suppress(StoreError):
                self._blobs.sync()
        finally:
            self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _remove_entries(self, change: Callable[[Entries], Entries]) -> list[Digest]:
        return self._collector.remove_entries(change)

    @cached_property
    def _collector(self) -> Collector:
        from kubeimage.store.gc import Collector

        return Collector(self._layout, self._session, self._blobs, self._cache)


def cache_folder(root: str) -> str:
    """Return the folder in the store at ``root`` for what can be lost at any time."""
    return Layout(os.path.abspath(root)).cache
