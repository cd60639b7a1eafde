"""What a run says at its end: the images that it has built, and the steps that took longest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from kubeimage.report.seconds import format_seconds

if TYPE_CHECKING:
    from harness.cases.case import Case

_FACTS = ("image_id", "layers", "size", "cache", "time", "run_by", "base")
_STEPS = "kubefile_steps"


def attach_steps(report: pytest.TestReport, case: Case) -> None:
    """Put onto ``report`` how long each step of the build took, by the Kubefile's lines."""
    result = case.outcome.result
    steps = result.steps if result is not None else ()
    setattr(report, _STEPS, [(one.seconds, _place(one.step.location), one.step.text, one.cached) for one in steps])


def image_lines(reports: Iterable[Any], *, quiet: bool = False) -> Iterator[str]:
    """Yield a line for each image that was built; if ``quiet``, for those on something that stood in for their base."""
    for report in reports:
        properties = {key: str(value) for key, value in report.user_properties}
        if "image_id" in properties and ("base" in properties or not quiet):
            name = report.nodeid.rpartition("::")[0]
            facts = [properties[key] for key in _FACTS if key in properties]
            yield f"{name}: {', '.join(facts)}"


def slowest_lines(reports: Iterable[Any], number: int, width: int) -> Iterator[str]:
    """Yield a line for each of the ``number`` steps that took longest, 0 for all, the slowest first."""
    steps = [step for report in reports for step in getattr(report, _STEPS, ())]
    slowest = sorted(steps, key=lambda step: -float(step[0]))
    for seconds, place, text, cached in slowest[: number or None]:
        line = f"{format_seconds(seconds):>10} {place}: {'cached: ' if cached else ''}{text}"
        yield line if len(line) <= width else f"{line[: width - 1]}…"


def _place(location: Any) -> str:
    return f"{location.file}:{location.line}"
