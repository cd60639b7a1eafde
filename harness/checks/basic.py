"""parse, lint, build: what every other check stands on."""

from __future__ import annotations

from harness.case import Case
from kubeimage.errors import Diagnostic, KubefileError, Location
from kubeimage.kubefile import lint

_BUILD_WARNING = "build"


def check_parse(case: Case) -> None:
    """Check that the Kubefile is valid.

    Raises: KubefileError with all its errors.
    """
    _ = case.kubefile


def check_lint(case: Case) -> None:
    """Warn of what the author probably did not mean; with ``--kubefile-strict-lint``, fail.

    Raises: KubefileError with all the advice.
    """
    advice = lint(case.kubefile)
    if advice and case.settings.strict_lint:
        raise KubefileError(advice)
    for one in advice:
        case.warn(one)


def check_build(case: Case) -> None:
    """Check that the image can be built, and pass on what the build warns of.

    Raises: what keeps it from being built.
    """
    left_out = [f"the build argument {key} is left out here: no ARG declares it" for key in case.undeclared_build_args]
    for message in (*case.result.warnings, *left_out):
        case.warn(Diagnostic(_BUILD_WARNING, message, Location(case.path, 1), severity="warning"))
