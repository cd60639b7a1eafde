"""What a store lets go to stay small: first what can be made again from what is left, then what the cache remembers.

Images that have a name are never let go. Neither is what a running session relies on.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from kubeimage.disk.lastuse import last_use, last_use_beside
from kubeimage.image.digest import Digest
from kubeimage.store.files import tree_size
from kubeimage.store.garbage import Candidate
from kubeimage.store.layout import Layout
from kubeimage.store.records import iter_pairs, record_path
from kubeimage.store.snapshots import iter_snapshots
from kubeimage.values import dataclass


@dataclass(frozen=True)
class PrunePolicy:
    """What is let go.

    Shape: ``snapshots`` are unpacked layers, and the forms of layers beside the one that is needed. ``cache`` are steps
           of the build cache, with their layers. ``garbage`` is what nothing refers to, all of it.
           Without ``keep_size`` and ``unused_for``, all of these is let go.
    Units: ``keep_size`` in bytes that the store may have; ``unused_for`` in seconds.
    """

    keep_size: int | None = None
    unused_for: float | None = None
    snapshots: bool = True
    cache: bool = True
    garbage: bool = True


class RecordUse(NamedTuple):
    """A record of the build cache. Shape: ``layer`` None where the step made none. Units: ``used`` since 1970."""

    path: str
    layer: Digest | None
    used: float


class Kept(NamedTuple):
    """What is needed. Shape: ``leased`` is what running sessions rely on, ``named`` what images name."""

    leased: set[Digest]
    named: set[Digest]


class _Unit(NamedTuple):
    """Something that is let go as a whole.

    Shape: ``rank`` 0 goes before 1. ``depth`` is how many steps stand before a record: of those that were used at one
           time the last step goes first, for without the ones before it no build finds it.
    Units: ``used`` in seconds since 1970.
    """

    rank: int
    used: float
    candidates: tuple[Candidate, ...]
    record: RecordUse | None = None
    depth: int = 0


def choose(
    layout: Layout,
    policy: PrunePolicy,
    garbage: list[Candidate],
    kept: Kept,
    records: Iterable[RecordUse],
    *,
    now: float,
    size: int,
) -> list[Candidate]:
    """Return what is let go, ``garbage`` first: the same for the same store, whether it is removed then or not.

    Units: ``now`` in seconds since 1970; ``size`` in bytes of all that the store has.
    """
    return _Choice(layout, policy, kept, list(records), now).run(garbage, size)


class _Choice:
    def __init__(self, layout: Layout, policy: PrunePolicy, kept: Kept, records: list[RecordUse], now: float) -> None:
        self._layout = layout
        self._policy = policy
        self._kept = kept
        self._records = records
        self._now = now
        self._forms: dict[Digest, set[Digest]] = {}
        for diff_id, blob in iter_pairs(layout):
            self._forms.setdefault(diff_id, {diff_id}).add(blob)
        self._refs = Counter(one.layer for one in records if one.layer is not None)

    def run(self, garbage: list[Candidate], size: int) -> list[Candidate]:
        taken = {one.path: one for one in garbage if self._is_wanted(one)}
        size -= _size(taken.values())
        for unit in sorted(self._units(), key=lambda one: (one.rank, one.used, -one.depth, one.candidates)):
            if not self._is_due(unit, size):
                continue
            added = {one.path: one for one in self._with_layer(unit) if one.path not in taken}
            taken |= added
            size -= _size(added.values())
        return list(taken.values())

    def _is_wanted(self, garbage: Candidate) -> bool:
        return self._policy.garbage or (self._policy.snapshots and garbage.kind == "snapshot")

    def _is_due(self, unit: _Unit, size: int) -> bool:
        policy = self._policy
        if policy.keep_size is None and policy.unused_for is None:
            return True
        if policy.unused_for is not None and self._now - unit.used >= policy.unused_for:
            return True
        return policy.keep_size is not None and size > policy.keep_size

    def _units(self) -> Iterator[_Unit]:
        if self._policy.snapshots:
            yield from self._snapshots()
            yield from self._kept_forms()
        if self._policy.cache:
            above = _above(self._records)
            newest = _newest_below(self._records, above)
            depths = _depths(above)
            for one in self._records:
                candidate = Candidate("cache", os.path.basename(one.path), one.path)
                yield _Unit(1, newest[one.path], (candidate,), one, depths[one.path])

    def _snapshots(self) -> Iterator[_Unit]:
        for one in iter_snapshots(self._layout):
            if one.diff_id not in self._kept.leased:
                yield _Unit(0, last_use_beside(one.path), (Candidate("snapshot", one.diff_id.hex, one.path),))

    def _kept_forms(self) -> Iterator[_Unit]:
        """Yield the forms of layers beside the one that an image names, or that the cache has."""
        for diff_id, forms in sorted(self._forms.items()):
            if forms & self._kept.leased:
                continue
            there = {one for one in forms if os.path.lexists(self._layout.blob(one))}
            needed = there & self._kept.named or ({diff_id} if self._refs[diff_id] else set()) & there
            if not needed:
                # Only a compressed form is there for the cache, or nothing needs the layer.
                continue
            for one in sorted(there - needed):
                pair = [blob for blob in forms if diff_id != blob and one in (diff_id, blob)]
                used = max(last_use(record_path(self._layout, diff_id, blob)) for blob in pair)
                yield _Unit(0, used, tuple(self._form_of(diff_id, one)))

    def _form_of(self, diff_id: Digest, form: Digest) -> Iterator[Candidate]:
        # A blob without its record is garbage; a record without its blob would stay for ever.
        if form != diff_id:
            yield Candidate("record", form.hex, record_path(self._layout, diff_id, form))
        yield Candidate("blob", form.hex, self._layout.blob(form))

    def _with_layer(self, unit: _Unit) -> Iterator[Candidate]:
        """Yield what goes with a unit: with the last record of a layer, all that is left of that."""
        yield from unit.candidates
        layer = unit.record.layer if unit.record is not None else None
        if layer is None:
            return
        self._refs[layer] -= 1
        forms = self._forms.get(layer, {layer})
        if self._refs[layer] or forms & (self._kept.leased | self._kept.named):
            return
        for form in sorted(forms):
            yield from (one for one in self._form_of(layer, form) if os.path.lexists(one.path))
        for snapshot in iter_snapshots(self._layout):
            if snapshot.diff_id == layer:
                yield Candidate("snapshot", layer.hex, snapshot.path)


def _newest_below(records: list[RecordUse], above: Mapping[str, str]) -> Mapping[str, float]:
    """Return when each record, or one of a step after it, was last used: who uses a step uses those before it."""
    used = {one.path: one.used for one in records}
    for one in records:
        path, newest = one.path, one.used
        seen = {path}
        while (path := above[path]) and path not in seen:
            if used[path] >= newest:
                break
            used[path] = newest
            seen.add(path)
    return used


def _depths(above: Mapping[str, str]) -> Mapping[str, int]:
    """Return how many records stand before each."""
    depths = {"": -1}
    for last in above:
        chain: dict[str, None] = {}
        path = last
        while path not in depths and path not in chain:
            chain[path] = None
            path = above[path]
        depths |= {each: depth for depth, each in enumerate(reversed(chain), depths.get(path, -1) + 1)}
    return depths


def _above(records: list[RecordUse]) -> Mapping[str, str]:
    """Return the record of the step before each, "" where there is none: it lies in a folder of that one's key."""
    by_key = {os.path.basename(one.path): one.path for one in records}
    return {one.path: by_key.get(os.path.basename(os.path.dirname(one.path)), "") for one in records}


def _size(candidates: Iterable[Candidate]) -> int:
    return sum(tree_size(one.path) for one in candidates)
