"""What a build would do, found out without doing it: which steps the cache has, and why it has not the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from kubeimage.builder.adding import unchecked
from kubeimage.builder.foresee import keys_ahead
from kubeimage.builder.misses import explain_miss
from kubeimage.builder.mounting import run_key
from kubeimage.builder.owners import with_numbers
from kubeimage.builder.plan import BuildPlan, StagePlan
from kubeimage.builder.step import Step
from kubeimage.builder.steps import copy_key, placed
from kubeimage.errors import KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.layer.stack import LayerStack, StackedLayer
from kubeimage.protocols.cache import BuildCache
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.context import SourceCollector
from kubeimage.protocols.layers import LayerStore, StoredLayer

Outcome = Literal["hit", "run", "note"]


class Forecast(NamedTuple):
    """What would happen to a step.

    Shape: ``outcome`` is ``hit`` (the cache has it), ``run`` (it would be done) or ``note`` (it makes no layer).
           ``why_missed`` says why a step would be done. ``paths`` are where a COPY's entries land, in canonical order.
    """

    step: Step
    outcome: Outcome
    layer: StoredLayer | None = None
    why_missed: str | None = None
    paths: tuple[str, ...] = ()


def forecast(
    plan: BuildPlan, cache: BuildCache, collector: SourceCollector, layers: LayerStore
) -> tuple[Forecast, ...]:
    """Walk the plan's steps, looking up and reading sources, and changing nothing.

    Where a file lands by Docker's rules depends on the folders below it: behind a step that would be done, only those
    of the steps before it are known.
    Raises: a ContextError for a COPY that would fail, with its place in the Kubefile.
    """
    seen: dict[int, _StageForecast] = {}
    sight = _Sight(plan, cache, collector, layers)
    for stage in plan.stages:
        seen[stage.number] = _StageForecast(stage, sight, seen)
    return tuple(one for stage in seen.values() for one in stage.found)


class _Sight(NamedTuple):
    """What a forecast looks at."""

    plan: BuildPlan
    cache: BuildCache
    collector: SourceCollector
    layers: LayerStore


class _StageForecast:
    """The forecast of one stage. Shape: ``key`` is its last key, None where a step would be done."""

    def __init__(self, stage: StagePlan, sight: _Sight, others: Mapping[int, _StageForecast]) -> None:
        plan, self._cache, self._collector, self._layers = sight
        self._others = others
        self._use_cache = plan.options.use_cache
        below = others[stage.below] if stage.below is not None else None
        if below is not None and below.key is not None:
            self._first = stage.first_key(plan.dialect, below.key, below.rootfs.diff_ids)
        else:
            self._first = stage.first_key(plan.dialect)
        known = plan.options.use_cache and (below is None or below.key is not None)
        self.key: Digest | None = self._first.digest if known else None
        kept = below.rootfs.layers if below is not None else [StackedLayer(one.diff_id) for one in stage.base_layers]
        self.rootfs: LayerStack = LayerStack(self._layers, kept)
        if known:
            self._cache.foresee(self._first, keys_ahead(self._first, stage.steps, self._collector))
        self.found = [self._look(step) for step in stage.steps]

    def _look(self, step: Step) -> Forecast:
        if not step.makes_layer:
            return Forecast(step, "note")
        stages = {number: self._others[number] for number in step.needed}
        known = {number: (one.key, one.rootfs.diff_ids) for number, one in stages.items() if one.key is not None}
        is_known = taken_known = len(known) == len(stages)
        step = step.taking(known) if is_known else step
        step = with_numbers(step, self.rootfs)
        is_known = is_known and not (step.copy is not None and unchecked(step.copy))
        key, paths = _inputs(step, self.key or self._first.digest, self._collector, self.rootfs)
        if self.key is None:
            why = "an earlier step misses" if self._use_cache else "--no-cache"
            return Forecast(step, "run", why_missed=why, paths=paths)
        hit = self._cache.lookup(key) if is_known else None
        if hit is not None:
            if hit.layer is not None and self._layers.has(hit.layer.diff_id):
                self.rootfs.push(StackedLayer(hit.layer.diff_id))
            self.key = key.digest
            return Forecast(step, "hit", hit.layer, paths=paths)
        why = explain_miss(self._cache, self._first, self.key, key) if is_known else _unknown(of_stage=not taken_known)
        self.key = None
        return Forecast(step, "run", why_missed=why, paths=paths)


def _unknown(*, of_stage: bool) -> str:
    if of_stage:
        return "the stage that it takes from misses"
    return "what a URL without a checksum holds is known once it is fetched"


def _inputs(
    step: Step, parent: Digest, collector: SourceCollector, rootfs: LayerStack
) -> tuple[CacheKey, tuple[str, ...]]:
    if step.run is not None:
        return run_key(step, parent, collector), ()
    if step.copy is None or step.copy.from_image:
        return CacheKey(parent, step.cache_fields()), ()
    try:
        found = collector.collect(placed(step.copy, rootfs)).entries if step.copy.sources else ()
        entries = collector.with_digests(found)
    except KubeimageError as error:
        error.location = error.location or step.location
        raise
    return copy_key(parent, step.cache_fields(), entries), tuple(entry.path for entry in entries)
