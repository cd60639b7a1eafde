"""Garbage: what neither an image, nor a running session, nor (if it is kept) the build cache refers to.

While garbage is looked for and taken out of sight, ``gc.lock`` is held alone, so nobody starts to rely on any of it.
Deleting takes longer; that happens afterwards, in the session's own folder.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from kubeimage.disk.lastuse import mark_of
from kubeimage.errors import DigestFormatError, StoreError, StoreFullError
from kubeimage.image.digest import Digest
from kubeimage.store import index, locks, manifests
from kubeimage.store.blobs import Blobs
from kubeimage.store.failures import store_error, translated
from kubeimage.store.files import tree_size, try_remove_tree
from kubeimage.store.garbage import Candidate, Garbage, GarbageReport, report_of
from kubeimage.store.index import Entries
from kubeimage.store.layout import Layout
from kubeimage.store.partial import iter_partials
from kubeimage.store.records import iter_pairs, record_path, with_variants
from kubeimage.store.referrers import without_orphans
from kubeimage.store.reserve import keep_reserve, let_go
from kubeimage.store.session import Session, leftovers, live_leases, remove_leftover
from kubeimage.store.snapshots import iter_snapshots

if TYPE_CHECKING:
    from kubeimage.store.policy import PrunePolicy

Find = Callable[[Entries], list[Candidate]]
"""Finds what is to be removed, given the images there are."""


class CacheRecords(Protocol):
    """What the store must know about the build cache in its ``cache/``."""

    def layers(self) -> set[Digest]:
        """Return the layers that records lead to.

        Raises: OSError for records that cannot be read now.
        """
        ...

    def uses(self) -> list[tuple[str, Digest | None, float]]:
        """Return each record's path, the layer that it leads to, and when it was last used.

        Raises: OSError for records that cannot be read now.
        """
        ...

    def locked(self) -> AbstractContextManager[None]:
        """Keep everybody from recording anything meanwhile.

        Raises: OSError.
        """
        ...


class Collector:
    """Removes from a store what nothing refers to.

    What this very session holds is no obstacle: who collects relies on nothing any more.
    """

    def __init__(self, layout: Layout, session: Session, blobs: Blobs, cache: CacheRecords | None) -> None:
        self._layout = layout
        self._session = session
        self._blobs = blobs
        self._cache = cache

    def collect(self, *, keep_cache: bool, dry_run: bool, policy: PrunePolicy | None = None) -> GarbageReport:
        """Remove all garbage, or with ``dry_run`` only find it; with a ``policy``, also what that lets go.

        Raises: StoreError, StoreAccessError.
        """
        if not self._has_blobs():
            return GarbageReport()
        paths = [*leftovers(self._layout), *iter_partials(self._layout)]
        left = [Candidate("leftover", os.path.basename(path), path) for path in paths]

        def find(entries: Entries) -> list[Candidate]:
            if policy is not None:
                return self._choose(entries, policy, left if dry_run else [])
            return self._find(entries, keep_cache=True) if keep_cache else self._find_all(entries)

        if dry_run:
            with locks.shared(self._layout.gc_lock):
                found = find(self._without_dangling(index.read_entries(self._layout)))
                return report_of([*left, *found])
        report = GarbageReport(_remove(left, self._remove_leftover) + self._collect(find))
        keep_reserve(self._layout)
        return report

    def _remove_leftover(self, path: str) -> bool:
        """Remove what a dead process left, with all that it had of blobs."""
        if os.path.dirname(path) == self._layout.ingest:
            return remove_leftover(self._layout, path)
        return try_remove_tree(path)

    def _has_blobs(self) -> bool:
        with translated("look at", self._layout.blobs), suppress(FileNotFoundError, NotADirectoryError):
            return stat.S_ISDIR(os.stat(self._layout.blobs).st_mode)
        return False

    def sizes(self) -> dict[str, int]:
        """Return the bytes of all files of the store, by what they are for.

        Shape:  ``images`` (blobs that images name), ``cache`` (those that only the build cache has, and its records),
                ``forms`` (kept forms of layers beside these), ``snapshots``, ``garbage`` (what prune takes away),
                ``other``. The sum is the store's size.
        Raises: StoreError, StoreAccessError.
        """
        found = dict.fromkeys(("images", "cache", "forms", "snapshots", "garbage", "other"), 0)
        if not self._has_blobs():
            return found
        with locks.shared(self._layout.gc_lock):
            named = self._needed_by(self._without_dangling(index.read_entries(self._layout)))
            cached: set[Digest] = set()
            if self._cache is not None:
                with translated("read the build cache in", self._layout.cache):
                    cached = self._cache.layers()
            kept = with_variants(self._layout, named | cached | self._leases())
            for digest in self._iter_blobs():
                kind = "images" if digest in named else "cache" if digest in cached else "garbage"
                kind = "forms" if kind == "garbage" and digest in kept else kind
                found[kind] += tree_size(self._layout.blob(digest))
        found["cache"] += tree_size(self._layout.cache)
        found["snapshots"] = tree_size(self._layout.snapshots)
        found["garbage"] += sum(tree_size(path) for path in leftovers(self._layout))
        found["other"] = tree_size(self._layout.root) - sum(found.values())
        return found

    def remove_entries(self, change: Callable[[Entries], Entries]) -> list[Digest]:
        """Change the index, and remove the blobs that were needed for what is gone; the build cache keeps its own.

        The change is what was asked for: blobs that cannot be removed stay for ``prune``, which says why.
        On a full disk the store's reserve makes room for that.
        Raises: whatever ``change`` raises; StoreError, StoreFullError, StoreAccessError.
        """
        try:
            removed = self._remove_entries(change)
        except StoreFullError:
            if not let_go(self._layout):
                raise
            removed = self._remove_entries(change)
        keep_reserve(self._layout)
        return removed

    def _remove_entries(self, change: Callable[[Entries], Entries]) -> list[Digest]:
        garbage: set[Digest] = set()

        def change_and_find(before: Entries) -> Entries:
            after = without_orphans(change(before), self._blobs)
            # By identity: comparing each entry with all others takes seconds where there are many.
            kept = {id(entry) for entry in after}
            garbage.update(self._freed([entry for entry in before if id(entry) not in kept], after))
            return after

        trash = self._session.new_path()
        with locks.alone(self._layout.gc_lock):
            index.change_entries(self._layout, self._session, change_and_find)
            there = sorted(digest for digest in garbage if os.path.lexists(self._layout.blob(digest)))
            candidates = [Candidate("blob", digest.hex, self._layout.blob(digest)) for digest in there]
            candidates += self._find_snapshots(lambda digest: digest not in garbage)
            candidates += self._find_records(lambda digest: digest not in garbage)
            with suppress(StoreError):
                self._take_away(candidates, trash)
        try_remove_tree(trash)
        return [digest for digest in there if not os.path.lexists(self._layout.blob(digest))]

    def _collect(self, find: Find) -> tuple[Garbage, ...]:
        try:
            trash = self._session.new_path()
        except StoreFullError:
            # Not even room for a folder: then others have to wait while things are deleted where they are.
            return self._collect_in_place(find)
        with locks.alone(self._layout.gc_lock):
            index.change_entries(self._layout, self._session, self._without_dangling)
            found = find(index.read_entries(self._layout))
            moved = self._take_away(found, trash)
        removed = _remove(moved, try_remove_tree)
        try_remove_tree(trash)
        return removed

    def _collect_in_place(self, find: Find) -> tuple[Garbage, ...]:
        with locks.alone(self._layout.gc_lock):
            found = find(index.read_entries(self._layout))
            with ExitStack() as stack:
                # Its lock is for all of the cache: whoever takes it twice waits for himself.
                for candidate in [one for one in found if one.kind == "cache"][:1]:
                    stack.enter_context(self._let_alone(candidate))
                return _remove(found, try_remove_tree)

    def _without_dangling(self, entries: Entries) -> Entries:
        """Leave out our images that have no name, unless a session relies on one, and what refers to them."""
        held = {str(digest) for digest in self._leases()}
        kept = [one for one in entries if not index.is_dangling(one) or str(one.get("digest")) in held]
        return without_orphans(kept, self._blobs)

    def _find(self, entries: Entries, *, keep_cache: bool) -> list[Candidate]:
        """Find the garbage, in an order that never leaves a cache record without its layer."""
        leased = self._leases()
        needed = self._needed(entries, keep_cache=keep_cache)
        found = [] if keep_cache else self._find_cache()
        for digest in self._iter_blobs():
            if digest not in needed:
                found.append(Candidate("blob", digest.hex, self._layout.blob(digest)))
        for snapshot in iter_snapshots(self._layout):
            if snapshot.diff_id not in leased and not (snapshot.current and snapshot.diff_id in needed):
                found.append(Candidate("snapshot", snapshot.diff_id.hex, snapshot.path))
        found += self._find_records(lambda digest: digest in needed)
        return found

    def _find_all(self, entries: Entries) -> list[Candidate]:
        """Find the garbage, the whole build cache, and what can be made again."""
        from kubeimage.store.policy import Kept, PrunePolicy, choose

        garbage = self._find(entries, keep_cache=False)
        kept = Kept(self._leases(), self._needed_by(entries))
        return choose(self._layout, PrunePolicy(cache=False), garbage, kept, (), now=0, size=0)

    def _choose(self, entries: Entries, policy: PrunePolicy, gone: Sequence[Candidate]) -> list[Candidate]:
        """Find the garbage, and what a policy lets go, in an order that never leaves a record without its layer.

        ``gone`` is there, and counts as removed.
        """
        from kubeimage.store.policy import Kept, RecordUse, choose

        records: list[RecordUse] = []
        if self._cache is not None:
            with translated("read the build cache in", self._layout.cache):
                records = [RecordUse(*one) for one in self._cache.uses()]
        kept = Kept(self._leases(), self._needed_by(entries))
        garbage = self._find(entries, keep_cache=True)
        size = tree_size(self._layout.root) - report_of(gone).size
        return choose(self._layout, policy, garbage, kept, records, now=time.time(), size=size)

    def _find_cache(self) -> list[Candidate]:
        path = self._layout.cache
        with translated("look into the build cache", path):
            return [Candidate("cache", "cache", path)] if os.path.isdir(path) and os.listdir(path) else []

    def _find_snapshots(self, is_needed: Callable[[Digest], bool]) -> Iterator[Candidate]:
        for snapshot in iter_snapshots(self._layout):
            if not is_needed(snapshot.diff_id):
                yield Candidate("snapshot", snapshot.diff_id.hex, snapshot.path)

    def _find_records(self, is_needed: Callable[[Digest], bool]) -> Iterator[Candidate]:
        for diff_id, blob in iter_pairs(self._layout):
            if not (is_needed(diff_id) and is_needed(blob)):
                yield Candidate("record", blob.hex, record_path(self._layout, diff_id, blob))

    def _iter_blobs(self) -> Iterator[Digest]:
        with translated("list the blobs in", self._layout.blobs):
            names = sorted(os.listdir(self._layout.blobs))
        for name in names:
            with suppress(DigestFormatError):
                yield Digest.parse(f"sha256:{name}")

    def _freed(self, gone: Entries, kept: Entries) -> set[Digest]:
        """Return what only the entries ``gone`` needed: not the ``kept`` ones, nor a session, nor the cache.

        The images of ten thousand names are read only as long as one of them may need something of what is in doubt.
        """
        doubtful = with_variants(self._layout, self._needed_by(gone))
        if not (doubtful := doubtful - with_variants(self._layout, self._needed_by_others(keep_cache=True))):
            return doubtful
        # What an entry itself names is known without reading its image.
        named = {text for entry in kept for text in index.digests_in(entry)}
        doubtful = {digest for digest in doubtful if str(digest) not in named}
        own = {text for entry in gone for text in index.digests_in(entry)}
        needed: set[Digest] = set()
        for entry in kept:
            left = doubtful - needed
            if not left:
                break
            if index.is_one_image(entry) and all(str(digest) in own for digest in left):
                continue
            if found := self._needed_by([entry]) & left:
                needed |= with_variants(self._layout, found)
        return doubtful - needed

    def _needed(self, entries: Entries, *, keep_cache: bool) -> set[Digest]:
        # Leases are read before the index is relied on: a session names an image first and ends afterwards.
        needed = self._needed_by_others(keep_cache=keep_cache) | self._needed_by(entries)
        return with_variants(self._layout, needed)

    def _needed_by_others(self, *, keep_cache: bool) -> set[Digest]:
        needed = self._leases()
        if keep_cache and self._cache is not None:
            with translated("read the build cache in", self._layout.cache):
                needed |= self._cache.layers()
        return needed

    def _needed_by(self, entries: Entries) -> set[Digest]:
        seen: set[tuple[Digest, manifests.Taken]] = set()
        needed: set[Digest] = set()
        for entry in entries:
            descriptor, taken = index.descriptor_of(entry), index.taken_of(entry)
            if descriptor is not None and (descriptor.digest, taken) not in seen:
                seen.add((descriptor.digest, taken))
                needed |= manifests.digests_of(self._blobs, descriptor, taken)
        return needed

    def _leases(self) -> set[Digest]:
        return live_leases(self._layout, but=self._session.name)

    def _take_away(self, candidates: Iterable[Candidate], trash: str) -> list[Candidate]:
        """Move candidates into the folder ``trash``, and give them where they are then."""
        moved = []
        with translated("make the folder", trash):
            os.mkdir(trash, 0o700)
        for number, candidate in enumerate(candidates):
            there = os.path.join(trash, str(number))
            try:
                with self._let_alone(candidate):
                    _remove_mark(candidate)
                    os.rename(candidate.path, there)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise store_error(error, "remove", candidate.path) from error
            moved.append(candidate._replace(path=there))
        self._blobs.forget(Digest(one.name) for one in moved if one.kind == "blob")
        return moved

    @contextmanager
    def _let_alone(self, candidate: Candidate) -> Iterator[None]:
        """Keep who writes to the candidate from doing so; only the build cache has such writers."""
        with ExitStack() as stack:
            if candidate.kind == "cache" and self._cache is not None:
                # Where nobody can lock it, nobody can write to it either.
                with suppress(OSError):
                    stack.enter_context(self._cache.locked())
            yield


def _remove_mark(candidate: Candidate) -> None:
    """Remove what says when a snapshot was last used."""
    if candidate.kind == "snapshot":
        with suppress(OSError):
            os.unlink(mark_of(candidate.path))


def _remove(candidates: Sequence[Candidate], remove: Callable[[str], bool]) -> tuple[Garbage, ...]:
    """Remove garbage, and give what is gone: of what stays nothing was freed."""
    report = report_of(candidates)
    gone = [remove(candidate.path) for candidate in candidates]
    return tuple(item for item, is_gone in zip(report.items, gone, strict=True) if is_gone)
