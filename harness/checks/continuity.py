"""cache-continuity: an unchanged project is all hits, and an edit misses from its first reader on, and no earlier."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from harness.cases.case import Case
from harness.cases.copies import copy_context
from harness.checks.failed import CheckError, CheckFailedError
from kubeimage.api.backends import Backends
from kubeimage.api.building import build_image, preview_build
from kubeimage.builder.forecast import Forecast
from kubeimage.builder.plan import BuildPlan
from kubeimage.builder.step import Step
from kubeimage.layer.entry import Entry, FileIdentity, Kind
from kubeimage.protocols.context import SourceCollector

_Inode = tuple[int, int]


def check_cache_continuity(case: Case) -> None:
    """Check that the cache misses what an edit changes, and hits all else.

    Built again, the project is all hits and gives the same image. Then, in a copy of the context, one file of each
    COPY source is edited, one at a time: the steps before its first reader hit, all from there on miss.
    Raises: CheckError.
    """
    first = case.result
    with case.open() as backends, case.scratch() as folder:
        _check_rebuild(case, backends)
        copy = os.path.join(folder, "context")
        copy_context(case.context, copy)
        _check_copy(case, backends, copy)
        steps = [one.step for one in first.steps]
        for edit in _edits(steps, backends.collector(copy)):
            with edit.done():
                forecasts = preview_build(case.plan, copy, backends)
                _check_edit(case, edit, forecasts, _missing(case.plan, edit.reader), copy)


def _check_rebuild(case: Case, backends: Backends) -> None:
    again = build_image(case.plan, case.context, backends)
    for one in again.steps:
        if one.step.makes_layer and not one.cached:
            raise CheckError(
                f"built again, nothing changed, this step is not in the cache: {one.why_missed}",
                location=one.step.location,
            )
    if again.image.id != case.result.image.id:
        raise CheckError(
            f"built again from the cache, the image is another one: {again.image.id}, before {case.result.image.id}"
        )


def _check_copy(case: Case, backends: Backends, copy: str) -> None:
    for one in preview_build(case.plan, copy, backends):
        if one.outcome == "run":
            raise CheckError(
                "in a copy of the context, with other times and in another place, this step is not in the cache: "
                f"{one.why_missed}",
                location=one.step.location,
            )


@dataclass(frozen=True)
class _Edit:
    """A file to edit. Shape: ``reader`` is the first step that reads it, ``source`` the COPY source that names it."""

    path: str
    source: str
    reader: Step

    @contextmanager
    def done(self) -> Iterator[None]:
        """Make the file one byte longer, for a while; its mode stays."""
        before = os.stat(self.path)
        os.chmod(self.path, before.st_mode | 0o200)
        with open(self.path, "ab") as stream:
            stream.write(b"\n")
        os.chmod(self.path, before.st_mode)
        try:
            yield
        finally:
            os.chmod(self.path, before.st_mode | 0o200)
            os.truncate(self.path, before.st_size)
            os.chmod(self.path, before.st_mode)


def _edits(steps: Sequence[Step], collector: SourceCollector) -> list[_Edit]:
    """Choose a file for each COPY source; a file that several sources name is chosen once."""
    readers: dict[_Inode, Step] = {}
    chosen: dict[_Inode, tuple[str, str]] = {}
    for step in steps:
        for source in step.copy.sources if step.copy is not None and not step.copy.from_image else ():
            assert step.copy is not None
            files = _files(collector.collect(replace(step.copy, sources=(source,))).entries)
            for identity, _ in files:
                readers.setdefault(_inode(identity), step)
            if files:
                identity, path = files[0]
                chosen.setdefault(_inode(identity), (path, source))
    return [_Edit(path, source, readers[inode]) for inode, (path, source) in chosen.items()]


def _files(entries: Sequence[Entry]) -> list[tuple[FileIdentity, str]]:
    return [
        (entry.identity, entry.source)
        for entry in entries
        if entry.kind is Kind.FILE and entry.identity is not None and isinstance(entry.source, str)
    ]


def _inode(identity: FileIdentity) -> _Inode:
    return identity.device, identity.inode


def _missing(plan: BuildPlan, reader: Step) -> frozenset[int]:
    """Return the numbers of the steps that miss where ``reader`` does: the rest of its stage, and all that uses it."""
    missing: set[int] = set()
    stages: set[int] = set()
    for stage in plan.stages:
        misses = stage.below in stages
        for step in stage.steps:
            misses |= step.number == reader.number or step.taken in stages
            if misses:
                missing.add(step.number)
        if misses:
            stages.add(stage.number)
    return frozenset(missing)


def _check_edit(case: Case, edit: _Edit, forecasts: Sequence[Forecast], missing: frozenset[int], copy: str) -> None:
    made = [one for one in forecasts if one.step.makes_layer]
    wrong = next((one for one in made if (one.outcome == "run") is not (one.step.number in missing)), None)
    if wrong is None:
        return
    name = os.path.relpath(edit.path, copy)
    found = "misses" if wrong.outcome == "run" else "hits"
    raise CheckFailedError(
        f"after an edit of {name}, this step {found} the cache",
        details=[f"  {_describe(one, missing)}" for one in made],
        hint=f"the first step that reads {name} is line {edit.reader.location.line} of {case.path}",
        location=wrong.step.location,
    )


def _describe(one: Forecast, missing: frozenset[int]) -> str:
    expected = "miss" if one.step.number in missing else "hit"
    found = "hit" if one.outcome == "hit" else f"miss ({one.why_missed})"
    return f"line {one.step.location.line}: expected a {expected}, found a {found}"
