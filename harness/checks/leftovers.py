"""no-leaks: a build leaves an image, and nothing else."""

from __future__ import annotations

from fnmatch import fnmatchcase

from harness.cases.case import Case
from harness.cases.leaks import Leak
from harness.checks.failed import CheckFailedError

_LISTED = 10


def check_no_leaks(case: Case) -> None:
    """Check that the build left no mount, process or unfinished write, and the context as it was.

    That holds for a build that failed as well. ``--kubefile-allow-leftover`` names what may be left.
    Raises: CheckFailedError that lists what is left.
    """
    leaks = [leak for leak in case.outcome.leaks if not _is_allowed(leak, case.settings.allowed_leftovers)]
    if leaks:
        raise CheckFailedError(
            f"the build left {len(leaks)} thing{'s' if len(leaks) > 1 else ''} behind",
            details=_listed(leaks),
            hint=f"if it may stay: --kubefile-allow-leftover={leaks[0].name}",
            location=case.kubefile.base.span.location,
        )


def _is_allowed(leak: Leak, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(leak.name, glob) for glob in globs)


def _listed(leaks: list[Leak]) -> list[str]:
    shown = [f"  {leak.text}" for leak in leaks[:_LISTED]]
    return shown if len(leaks) <= _LISTED else [*shown, f"  and {len(leaks) - _LISTED} more"]
