"""no-leaks: a build leaves an image, and nothing else."""

from __future__ import annotations

from harness.case import Case
from harness.checks.failed import CheckFailedError


def check_no_leaks(case: Case) -> None:
    """Check that the build left no mount, process or unfinished write, and the context as it was.

    That holds for a build that failed as well.
    Raises: CheckFailedError that lists what is left.
    """
    leaks = case.outcome.leaks
    if leaks:
        raise CheckFailedError(
            f"the build left {len(leaks)} thing{'s' if len(leaks) > 1 else ''} behind",
            details=[f"  {leak}" for leak in leaks],
            location=case.kubefile.base.span.location,
        )
