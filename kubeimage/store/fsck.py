"""Checks a whole store: every digest, size and reference, snapshots against layers, the build cache, leftovers.

Builds go on meanwhile, and nobody removes what is being checked: the check holds all of it, as a build would. A check
that repairs makes builds wait at their next step that touches the store.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import Protocol, runtime_checkable

from kubeimage.disk.folders import is_open
from kubeimage.errors import StoreError
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.store import layout, locks
from kubeimage.store.blobs import Blobs
from kubeimage.store.census import Census
from kubeimage.store.comparison import first_difference
from kubeimage.store.files import replace_file, try_remove_tree, write_new_file
from kubeimage.store.findings import AGAIN, Finding
from kubeimage.store.gc import CacheRecords
from kubeimage.store.indexcheck import IndexCheck
from kubeimage.store.layers import DirectoryLayerStore
from kubeimage.store.layout import Layout
from kubeimage.store.records import iter_pairs, read_record, record_path, with_variants
from kubeimage.store.session import Session, leftovers, live_leases, remove_leftover
from kubeimage.store.snapshots import iter_snapshots
from kubeimage.store.variants import Variants

__all__ = ["CheckedCache", "Finding", "check"]


@runtime_checkable
class CheckedCache(CacheRecords, Protocol):
    """A build cache that can check itself."""

    def check(self, layers: set[Digest], *, repair: bool) -> Iterable[tuple[str, str, bool]]:
        """Return the path of each bad record, what is wrong with it, and whether that is damage.

        ``layers`` are those that are there and good; ``repair`` removes the records.
        """
        ...


def check(
    where: Layout,
    session: Session,
    blobs: Blobs,
    *,
    variants: Variants,
    layers: DirectoryLayerStore,
    cache: CacheRecords | None,
    repair: bool,
) -> list[Finding]:
    """Check the store, and repair what can be repaired safely; nothing to find where there is no store.

    Raises: StoreAccessError.
    """
    if not where.has_something():
        return []
    checker = _Checker(where, session, blobs, variants=variants, layers=layers, cache=cache, repair=repair)
    if not repair:
        return list(checker.run())
    session.folder(sweep=False)
    with locks.alone(where.gc_lock):
        return list(checker.run())


class _Checker:
    def __init__(
        self,
        where: Layout,
        session: Session,
        blobs: Blobs,
        *,
        variants: Variants,
        layers: DirectoryLayerStore,
        cache: CacheRecords | None,
        repair: bool,
    ) -> None:
        self._layout = where
        self._session = session
        self._blobs = blobs
        self._layers = layers
        self._cache = cache
        self._repair = repair
        # A session that makes a store writes it again.
        self._mark = layout.read_if_there(where.marker)
        self._census = Census(where, blobs)
        self._index = IndexCheck(where, session, blobs, variants, self._census, repair=repair)
        self._needed: set[Digest] = live_leases(where, but=session.name)

    def run(self) -> Iterator[Finding]:
        yield from self._check_openness()
        yield from self._check_files()
        finding = self._index.read() if self._repair else self._hold_all()
        if finding is not None:
            yield finding
        else:
            yield from self._index.check_header()
        self._census.hash_blobs()
        yield from self._check_variants()
        yield from self._index.check_entries()
        self._needed = with_variants(self._layout, self._needed | self._index.needed)
        yield from self._check_blobs()
        yield from self._check_snapshots()
        yield from self._check_cache()
        yield from self._check_unneeded()
        yield from self._check_leftovers()

    def _hold_all(self) -> Finding | None:
        """Read the index, and keep what is there now from being removed before it is checked.

        In a store that cannot be written, hope for the best; what is no store yet is not made one by looking at it.
        """
        if not self._layout.is_complete():
            return self._index.read()
        with ExitStack() as stack:
            with suppress(StoreError):
                self._session.folder(sweep=False)
                stack.enter_context(locks.shared(self._layout.gc_lock))
            finding = self._index.read()
            with suppress(StoreError):
                self._session.hold(*self._census.iter_digests())
            return finding

    def _check_openness(self) -> Iterator[Finding]:
        """Find out whether others can read what closed files and build arguments have come to."""
        with suppress(OSError):
            inside = (
                self._layout.blobs,
                os.path.dirname(self._layout.blobs),
                self._layout.cache,
                self._layout.variants,
            )
            if is_open(self._layout.root) and any(is_open(one) for one in inside if os.path.isdir(one)):
                what = "other users of this machine can look into the store, and so into closed files that it holds"
                yield Finding(what, self._layout.root, f"chmod 700 {self._layout.root}", damage=False)

    def _check_files(self) -> Iterator[Finding]:
        try:
            version = canonical.loads(self._mark or b"")["imageLayoutVersion"]
        except (ValueError, KeyError, TypeError):
            version = None
        if version != "1.0.0":
            if self._repair:
                written = self._session.new_path()
                write_new_file(written, layout.OCI_LAYOUT)
                replace_file(written, self._layout.marker)
            what = "is missing" if self._mark is None else "is damaged"
            advice = f"{AGAIN}: it is written again"
            yield Finding(f"the mark of an image layout {what}", self._layout.marker, advice, repaired=self._repair)

    def _check_variants(self) -> Iterator[Finding]:
        """Uncompress every compressed layer, and compare it with what is recorded of it."""
        for diff_id, blob in iter_pairs(self._layout):
            path = record_path(self._layout, diff_id, blob)
            record = read_record(path)
            what = "it is damaged" if record is None else self._census.look_into(record)
            if what is None:
                continue
            if self._repair:
                try_remove_tree(path)
            advice = f"{AGAIN} to remove it; what it says is found out again when it is needed"
            yield Finding(
                f"the record of a compressed layer is of no use: {what}",
                path,
                advice,
                damage=record is not None,
                repaired=self._repair,
            )

    def _check_blobs(self) -> Iterator[Finding]:
        for digest, what in sorted(self._census.bad.items()):
            path = self._layout.blob(digest)
            # What has no mark was never waited for: a power cut may spoil it, and nobody trusts it.
            damage = digest in self._needed or _has_mark(path)
            if self._repair:
                self._blobs.forget([digest])
                try_remove_tree(path)
            yield Finding(what, path, f"{AGAIN} to remove it", damage=damage, repaired=self._repair)

    def _check_snapshots(self) -> Iterator[Finding]:
        for snapshot in iter_snapshots(self._layout):
            gone = snapshot.diff_id not in self._census.layers()
            if gone or not snapshot.current:
                what = "its layer is gone" if gone else "it was made before this machine was started"
                damage = False
            else:
                difference = self._difference(snapshot.diff_id, snapshot.path)
                if difference is None:
                    continue
                what, damage = difference, True
            if self._repair:
                try_remove_tree(snapshot.path)
            advice = f"{AGAIN} to remove it; it is unpacked again when it is needed"
            yield Finding(
                f"the unpacked layer is not as it was: {what}", snapshot.path, advice, damage, repaired=self._repair
            )

    def _difference(self, diff_id: Digest, path: str) -> str | None:
        try:
            with self._layers.open(diff_id) as tar:
                return first_difference(path, tar)
        except OSError as error:
            return f"it cannot be read: {error}"

    def _check_cache(self) -> Iterator[Finding]:
        if not isinstance(self._cache, CheckedCache):
            return
        try:
            for path, what, damage in self._cache.check(self._census.layers(), repair=self._repair):
                advice = f"{AGAIN} to remove it; it is made again when it is needed"
                yield Finding(what, path, advice, damage, repaired=self._repair)
        except OSError as error:
            what = f"the build cache cannot be read: {error.strerror or error}"
            yield Finding(what, self._layout.cache, "make it readable, or remove it")

    def _check_unneeded(self) -> Iterator[Finding]:
        cached: set[Digest] = set()
        with suppress(OSError):
            cached = self._cache.layers() if self._cache is not None else cached
        unneeded = self._census.whole() - with_variants(self._layout, self._needed | cached)
        if unneeded:
            size = sum(self._census.sizes[digest] for digest in unneeded)
            what = f"{len(unneeded)} blobs ({size} bytes) belong to no image"
            yield Finding(what, self._layout.blobs, "kubeimage prune frees the room", damage=False)

    def _check_leftovers(self) -> Iterator[Finding]:
        for path in leftovers(self._layout):
            if self._repair:
                remove_leftover(self._layout, path)
            advice = "the next build removes it"
            yield Finding("what a process left that died", path, advice, damage=False, repaired=self._repair)


def _has_mark(path: str) -> bool:
    try:
        return os.lstat(path).st_mtime_ns == 0
    except OSError:
        return False
