"""layer-limit: who spends how many of the layers that an image may have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.cases.case import Case
from harness.checks.failed import CheckFailedError
from kubeimage.errors import Location
from kubeimage.image.document import MAX_LAYERS
from kubeimage.kubefile import Instruction

_HINT = "copy several sources in one COPY, or join the commands of several RUNs with &&"


def check_layer_limit(case: Case) -> None:
    """Check that the image has no more layers than any image may have, and than ``--kubefile-max-layers`` allows.

    Every COPY and RUN counts before the build; for the run's own limit, the layers that they really made do.
    Raises: CheckFailedError with the budget.
    """
    wanted = case.kubefile.layered
    below = len(case.base.layers) if case.base is not None else 0
    if below + len(wanted) > MAX_LAYERS:
        message = f"an image has at most {MAX_LAYERS} layers, and this one would have {below + len(wanted)}"
        raise _exceeded(case, message, _first_over(wanted, MAX_LAYERS - below), below, wanted)
    most = case.settings.max_layers
    if most is None or below + len(wanted) <= most:
        return
    made = [one.step.instruction for one in case.result.steps if one.layer is not None]
    spent = made
    if below + len(spent) > most:
        message = f"the image has {below + len(spent)} layers, and --kubefile-max-layers allows {most}"
        raise _exceeded(case, message, _first_over(spent, most - below), below, spent)


def _first_over(spenders: Sequence[Instruction], left: int) -> Location | None:
    return spenders[max(left, 0)].span.location if spenders else None


def _exceeded(
    case: Case,
    message: str,
    location: Location | None,
    below: int,
    spenders: Sequence[Instruction],
) -> CheckFailedError:
    return CheckFailedError(
        message,
        details=_budget(case, below, spenders),
        hint=_HINT,
        location=location or case.kubefile.base.span.location,
    )


def _budget(case: Case, below: int, spenders: Sequence[Instruction]) -> Iterator[str]:
    yield "who spends them:"
    base = case.kubefile.base
    yield f"  {below:>3}  line {base.span.first_line}: FROM {base.name}"
    for one in spenders:
        yield f"    1  line {one.span.first_line}: {_shortened(f'{one.keyword} {one.value}')}"


def _shortened(text: str, width: int = 80) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= width else line[: width - 1] + "…"
