"""How a failed check is shown: as text for a person, and as what pytest, xdist and JUnit carry around."""

from __future__ import annotations

import os
from types import TracebackType

import pytest
from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from harness.asking.warning import KubefileWarning
from harness.cases.case import Case
from harness.checks.failed import CheckError, CheckFailedError
from kubeimage.errors import Diagnostic, KubeimageError, Location
from kubeimage.report import format_diagnostics, format_error


def diagnostics_of(error: BaseException, case: Case) -> tuple[Diagnostic, ...] | None:
    """Return what a failure says; None for a bug of the check.

    What names no place is about the whole Kubefile, which begins at FROM.
    """
    if isinstance(error, CheckError):
        return tuple(
            one if one.location is not None else one._replace(location=_start(case)) for one in error.diagnostics
        )
    if isinstance(error, KubeimageError):
        return error.diagnostics
    if isinstance(error, KubefileWarning):
        return (error.diagnostic,) if error.diagnostic is not None else ()
    if isinstance(error, AssertionError):
        return diagnostics_of(CheckError(str(error) or "the check does not hold"), case)
    return None


class KubefileAssertionError(AssertionError):
    """A check that does not hold, as reports of every kind know it: failed, not broken.

    Its cause is the error that says why.
    """


def failure_of(error: Exception) -> KubefileAssertionError:
    """Return ``error`` as the failure of a check, with the frames that it comes from."""
    failure = KubefileAssertionError(str(error)).with_traceback(error.__traceback__)
    failure.__cause__ = error
    return failure


def cause_of(error: BaseException) -> BaseException:
    """Return what made a check fail."""
    return error.__cause__ if isinstance(error, KubefileAssertionError) and error.__cause__ is not None else error


def report_text(error: BaseException, case: Case) -> str | None:
    """Return the text of a failure that is no bug of the check; None for one that is."""
    if isinstance(error, KubefileWarning) and error.diagnostic is None:
        return str(error)
    if isinstance(error, KubeimageError) and not isinstance(error, CheckError):
        return format_error(error)
    found = diagnostics_of(error, case)
    if found is None:
        return None
    details = error.details if isinstance(error, CheckFailedError) else ()
    return "\n".join((format_diagnostics(found), *details))


def _start(case: Case) -> Location:
    try:
        return case.kubefile.base.span.location
    except KubeimageError:
        return Location(case.path, 1)


def shorten(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Cut an error of the builder, where a fixture has built for a test, at the test's own line.

    What follows is how the builder works, which the test is not about; the Kubefile's line and the hint come instead.
    """
    error, last = excinfo.value, excinfo.tb
    if not isinstance(error, KubeimageError):
        return
    while last.tb_next is not None and not _is_ours(last.tb_next):
        last = last.tb_next
    if last.tb_next is None:
        return
    # Whatever pytest cuts from a traceback, it goes back to Python's own.
    last.tb_next = None
    if not hasattr(error, "__notes__"):
        error.add_note(format_error(error).partition("\n")[2])


def _is_ours(place: TracebackType) -> bool:
    return str(place.tb_frame.f_globals.get("__name__")).startswith("harness.")


def failure_repr(text: str, error: BaseException, path: os.PathLike[str] | str) -> ReprExceptionInfo:
    """Wrap ``text`` so that its first line stands in the short summary, under xdist and in JUnit too.

    What goes with it into annotations is the hint.
    """
    location = getattr(error, "location", None)
    first, *others = text.splitlines()
    message = "\n".join([first, *(line for line in others if line.startswith("hint: "))])
    crash = ReprFileLocation(str(path), location.line if location is not None else 1, message)
    return ReprExceptionInfo(ReprTraceback([ReprEntryNative([text + "\n"])], None, "native"), crash)
