"""The keys of a stage's steps, made before any of them is done: as far as none reads what another one makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kubeimage.builder.step import Step
from kubeimage.builder.steps import copy_key
from kubeimage.image.digest import Digest
from kubeimage.protocols.cachekey import CacheKey

if TYPE_CHECKING:
    from kubeimage.protocols.context import SourceCollector


def keys_ahead(first: CacheKey, steps: Sequence[Step], collector: SourceCollector) -> Iterator[CacheKey]:
    """Yield the keys of the steps that make layers, in their order, up to the first that depends on an earlier layer.

    Where a file lands by Docker's rules may depend on the folders that the steps before it made. What a step takes from
    another stage is known when that one is built.
    Raises: a ContextError for a COPY that would fail.
    """
    parent = first.digest
    for number, step in enumerate(steps):
        if not step.makes_layer:
            continue
        if _is_open(step) or (_reads_layers(step) and any(one.makes_layer for one in steps[:number])):
            return
        key = _key(step, parent, collector)
        yield key
        parent = key.digest


def _is_open(step: Step) -> bool:
    """Whether a step takes from a stage, names users by the list of the image, or fetches files."""
    user = step.run.image.as_user if step.run is not None and step.run.image is not None else step.as_user
    return (
        step.taken is not None or bool(user) or (step.copy is not None and bool(step.copy.chown or step.copy.remotes))
    )


def _reads_layers(step: Step) -> bool:
    return step.copy is not None and not step.copy.from_image and step.copy.by_docker and not step.copy.into


def _key(step: Step, parent: Digest, collector: SourceCollector) -> CacheKey:
    if step.copy is None or step.copy.from_image:
        return CacheKey(parent, step.cache_fields())
    entries = collector.with_digests(collector.collect(step.copy).entries)
    return copy_key(parent, step.cache_fields(), entries)


__all__ = ["keys_ahead"]
