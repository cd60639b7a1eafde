"""parse, lint, build: what every other check stands on."""

from __future__ import annotations

from harness.case import Case
from kubeimage.errors import KubefileError
from kubeimage.kubefile import lint


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
        hint = f" ({one.hint})" if one.hint else ""
        case.warn(f"{one.code}: {one.message}{hint}", one.location)


def check_build(case: Case) -> None:
    """Check that the image can be built, and pass on what the build warns of.

    Raises: what keeps it from being built.
    """
    for message in case.result.warnings:
        case.warn(message)
    for key in case.undeclared_build_args:
        case.warn(f"the build argument {key} is left out here: no ARG declares it")
