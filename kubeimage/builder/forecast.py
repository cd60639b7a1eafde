"""What a build would do, found out without doing it: which steps the cache has, and why it has not the others."""

from __future__ import annotations

from typing import Literal, NamedTuple

from kubeimage.builder.executor import explain_miss
from kubeimage.builder.plan import BuildPlan, Step
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
    found: list[Forecast] = []
    parent: Digest | None = plan.first_key.digest if plan.options.use_cache else None
    rootfs = LayerStack(layers, [StackedLayer(layer.diff_id) for layer in plan.base_layers])
    for step in plan.steps:
        if not step.makes_layer:
            found.append(Forecast(step, "note"))
            continue
        key, paths = _inputs(step, parent or plan.first_key.digest, collector, rootfs)
        if parent is None:
            why = "an earlier step misses" if plan.options.use_cache else "--no-cache"
            found.append(Forecast(step, "run", why_missed=why, paths=paths))
        elif (hit := cache.lookup(key)) is not None:
            found.append(Forecast(step, "hit", hit.layer, paths=paths))
            if hit.layer is not None:
                rootfs.push(StackedLayer(hit.layer.diff_id))
            parent = key.digest
        else:
            why = explain_miss(cache, plan.first_key, parent, key)
            found.append(Forecast(step, "run", why_missed=why, paths=paths))
            parent = None
    return tuple(found)


def _inputs(
    step: Step, parent: Digest, collector: SourceCollector, rootfs: LayerStack
) -> tuple[CacheKey, tuple[str, ...]]:
    if step.copy is None or step.origin is not None:
        return CacheKey(parent, step.cache_fields()), ()
    try:
        entries = collector.with_digests(collector.collect(placed(step.copy, rootfs)).entries)
    except KubeimageError as error:
        error.location = error.location or step.location
        raise
    return copy_key(parent, step.cache_fields(), entries), tuple(entry.path for entry in entries)
