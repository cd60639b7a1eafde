"""The files that a build fetches from the web, as a lock has them and as one is made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from kubeimage.builder.plan import BuildPlan
from kubeimage.builder.step import Step
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry
from kubeimage.lock.drift import Drift, compare_names
from kubeimage.lock.lockfile import Lock, LockedURL
from kubeimage.packing.locking import stale
from kubeimage.protocols.context import Remote, RootOpener


class NotedRoots:
    """A `RootOpener` that notes the digests of the files that are fetched, in ``found``, by their URLs."""

    def __init__(self, roots: RootOpener) -> None:
        self._roots = roots
        self.found: dict[str, Digest] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._roots, name)

    @contextmanager
    def fetch(self, remotes: Sequence[Remote]) -> Iterator[Sequence[Entry]]:
        """Yield what is fetched."""
        with self._roots.fetch(remotes) as entries:
            for remote, entry in zip(remotes, entries, strict=True):
                if entry.digest is not None:
                    self.found[remote.url] = Digest(entry.digest.hex())
            yield entries

    def lock(self, plan: BuildPlan) -> tuple[LockedURL, ...]:
        """Return the files of a plan that was carried out; one that came out of the cache has its checksum."""
        digests = {one.url: one.checksum for one in remotes_of(plan) if one.checksum is not None} | self.found
        return tuple(
            LockedURL(url, digests[url]) for url in sorted({one.url for one in remotes_of(plan)} & digests.keys())
        )


def remotes_of(plan: BuildPlan) -> list[Remote]:
    """Return all files that a plan fetches."""
    return [remote for step in plan.steps if step.copy is not None for remote in step.copy.remotes]


def with_locked_urls(plan: BuildPlan, lock: Lock) -> BuildPlan:
    """Return a plan in which each file from the web must be what the lock says.

    Raises: LockStaleError for one that the lock lacks, or has otherwise, and for what nothing fetches.
    """
    remotes = remotes_of(plan)
    locked = {one.url: one.digest for one in lock.urls}
    drifts = compare_names("url", lock.urls, {one.url for one in remotes})
    drifts += [
        Drift("url", one.url, "changed", str(locked[one.url]), str(one.checksum))
        for one in remotes
        if one.url in locked and one.checksum not in (None, locked[one.url])
    ]
    if drifts:
        raise stale(drifts)
    stages = (replace(stage, steps=tuple(_pinned(step, locked) for step in stage.steps)) for stage in plan.stages)
    return replace(plan, stages=tuple(stages)) if remotes else plan


def _pinned(step: Step, locked: dict[str, Digest]) -> Step:
    if step.copy is None or not step.copy.remotes:
        return step
    remotes = tuple(replace(one, checksum=locked[one.url]) for one in step.copy.remotes)
    return replace(step, copy=replace(step.copy, remotes=remotes))
