"""reproducible: the same project gives the same image, wherever, whenever and by whomever it is built."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from harness.cases.case import Case
from harness.cases.copies import copy_context
from harness.cases.standins import StandInImageStore, import_image
from harness.checks.failed import CheckFailedError
from kubeimage.api.backends import Backends
from kubeimage.api.building import build_image
from kubeimage.builder.events import StepFinished
from kubeimage.builder.executor import BuildResult
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.kubefile import Run
from kubeimage.layer.entry import Entry
from kubeimage.layer.reader import iter_contents
from kubeimage.protocols.layers import LayerStore

_LISTED = 8
_RUN_HINT = (
    "a command whose output holds the time, a random number or the order of a directory gives another layer each time"
)


def check_reproducible(case: Case) -> None:
    """Build again in another store, without the cache, from a copy of the context, and compare every digest.

    The copy has other times, another order of directory entries and, where root may give files away, another owner.
    Raises: CheckFailedError that names the layer, its instruction and the paths that differ.
    """
    first = case.result
    with case.scratch() as folder, case.open() as here, case.place.fresh(folder).open() as there:
        copy = os.path.join(folder, "context")
        copy_context(case.context, copy)
        again = build_image(
            case.kubefile, copy, _with_base(case, here, there), options=replace(case.options, use_cache=False)
        )
        _compare(first, again, here.layers, there.layers)


def _with_base(case: Case, here: Backends, there: Backends) -> Backends:
    base = case.plan.base
    if base is None:
        return there
    import_image(base, here, there)
    return replace(there, images=StandInImageStore(there.images, lambda _reference, _platform: base))


def _compare(first: BuildResult, again: BuildResult, here: LayerStore, there: LayerStore) -> None:
    for one, two in zip(first.steps, again.steps, strict=True):
        if _diff_id(one) != _diff_id(two):
            _report_layer(one, two, here, there)
    if first.image.id != again.image.id:
        raise CheckFailedError(
            f"built twice, two images with the same layers: {first.image.id} and {again.image.id}",
            details=_config_differences(first, again),
        )


def _diff_id(step: StepFinished) -> Digest | None:
    return step.layer.diff_id if step.layer is not None else None


def _report_layer(one: StepFinished, two: StepFinished, here: LayerStore, there: LayerStore) -> None:
    before, after = _contents(here, _diff_id(one)), _contents(there, _diff_id(two))
    differences = [f"  {text}" for text in islice(_differences(before, after), _LISTED + 1)]
    if len(differences) > _LISTED:
        differences[_LISTED:] = ["  and more"]
    is_run = isinstance(one.step.instruction, Run)
    raise CheckFailedError(
        f"built twice, two layers: {_diff_id(one) or 'none'} and {_diff_id(two) or 'none'}",
        details=differences,
        location=one.step.location,
        hint=_RUN_HINT if is_run else None,
    )


def _contents(layers: LayerStore, diff_id: Digest | None) -> dict[str, Entry]:
    """Return a layer's entries by path and kind, files with their digest."""
    if diff_id is None:
        return {}
    found = {}
    with layers.open(diff_id) as tar:
        for entry, content in iter_contents(tar):
            digest = hashlib.file_digest(content, "sha256").digest() if content is not None else None
            found[entry.path] = entry._replace(digest=digest)
    return found


def _differences(before: dict[str, Entry], after: dict[str, Entry]) -> Iterator[str]:
    for path in sorted(before.keys() | after.keys()):
        one, two = before.get(path), after.get(path)
        if one is None or two is None:
            yield f"{path}: only in the {'second' if one is None else 'first'}"
        elif one != two:
            yield f"{path}: {_difference(one, two)}"


def _difference(one: Entry, two: Entry) -> str:
    if one.kind is not two.kind:
        return f"a {one.kind.value}, then a {two.kind.value}"
    if one.mode != two.mode:
        return f"mode {one.mode:o}, then {two.mode:o}"
    if one.target != two.target:
        return f"target {one.target!r}, then {two.target!r}"
    if one.mtime != two.mtime:
        return f"time {one.mtime}, then {two.mtime}"
    if one.digest != two.digest:
        return f"another content ({one.size} bytes, then {two.size})"
    return "other extended attributes"


def _config_differences(first: BuildResult, again: BuildResult) -> Iterator[str]:
    one, two = canonical.decode(first.image.config), canonical.decode(again.image.config)
    for key in sorted(one.keys() | two.keys()):
        if one.get(key) != two.get(key):
            yield f"  {key}: {one.get(key)!r}, then {two.get(key)!r}"
