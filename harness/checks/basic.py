"""parse, lint, build: what every other check stands on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase

from harness.cases.case import Case
from harness.cases.outcome import Warned
from kubeimage.api.linting import lint_kubefile
from kubeimage.builder.step import Step
from kubeimage.context.names import looks_secret, secret_warnings
from kubeimage.errors import Diagnostic, KubefileError, KubeimageError, Location
from kubeimage.kubefile.codes import Advice

_BUILD_WARNING = "build"


def check_parse(case: Case) -> None:
    """Check that the Kubefile is valid.

    Raises: KubefileError with all its errors.
    """
    _ = case.kubefile


def check_lint(case: Case) -> None:
    """Warn of what the author probably did not mean; with ``--kubefile-strict-lint``, fail.

    ``--kubefile-allow-lint`` names the codes of what was meant.
    Raises: KubefileError with all the advice.
    """
    advice = _advice(case)
    if advice and case.settings.strict_lint:
        raise KubefileError(advice)
    for one in advice:
        case.warn(one)


def _advice(case: Case) -> list[Diagnostic]:
    """Return the advice on the Kubefile and its context, but for what the check build tells."""
    kubefile, allowed = case.kubefile, case.settings.allowed_lint
    try:
        found = lint_kubefile(kubefile, os.path.relpath(case.context), case.options, allow=allowed)
    except KubeimageError:
        # Options that cannot be followed keep it from being built; what the text says holds all the same.
        found = lint_kubefile(kubefile, allow=allowed)
    return [one for one in found if one.severity == "warning" and one.code != Advice.COPIED_SECRET.code]


def check_build(case: Case) -> None:
    """Check that the image can be built, and pass on what the build warns of.

    ``--kubefile-allow-secret`` names the files that may look like keys.
    Raises: what keeps it from being built.
    """
    steps = [one.step for one in case.result.steps]
    warned = [*_without_allowed(case, steps), *_left_out(case)]
    for message, number in warned:
        location = steps[number - 1].location if number is not None else Location(case.path, 1)
        case.warn(Diagnostic(_BUILD_WARNING, message, location, severity="warning"))


def _left_out(case: Case) -> Iterator[Warned]:
    for key in case.undeclared_build_args:
        yield Warned(f"the build argument {key} is left out here: no ARG declares it", None)


def _without_allowed(case: Case, steps: list[Step]) -> Iterator[Warned]:
    """Leave out warnings of files that are allowed, where any are: then the sources are looked through once more."""
    globs = case.settings.allowed_secrets
    if not globs:
        yield from case.outcome.warned
        return
    for step in steps:
        of_step = [one for one in case.outcome.warned if one.step == step.number]
        secrets = _secrets(case, step) if of_step else []
        known = set(secret_warnings(secrets))
        yield from (one for one in of_step if one.message not in known)
        wanted = [path for path in secrets if not any(fnmatchcase(path, glob) for glob in globs)]
        yield from (Warned(message, step.number) for message in secret_warnings(wanted))
    yield from (one for one in case.outcome.warned if one.step is None)


def _secrets(case: Case, step: Step) -> list[str]:
    """Return the files of a COPY's sources that look like keys, relative to the build context."""
    if step.copy is None:
        return []
    with case.open() as backends:
        entries = backends.collector(case.context).collect(step.copy).entries
    found = [entry.source for entry in entries if isinstance(entry.source, str)]
    return [os.path.relpath(path, case.context) for path in found if looks_secret(os.path.basename(path))]
