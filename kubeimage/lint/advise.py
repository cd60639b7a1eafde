"""All advice on a Kubefile, in order, without what people have silenced."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from kubeimage.builder.plan import BuildOptions
from kubeimage.errors import ContextError, Diagnostic, KubefileError, KubeimageError
from kubeimage.kubefile import Kubefile, lint, parse
from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.ignores import Ignores
from kubeimage.lint.commands import about_commands
from kubeimage.lint.copies import about_copies
from kubeimage.lint.manifests import about_manifests
from kubeimage.lint.placements import about_placements
from kubeimage.lint.project import Project


def lint_bytes(
    data: bytes,
    *,
    file: str,
    context: str | None = None,
    options: BuildOptions | None = None,
    allow: Collection[str] = (),
) -> tuple[Diagnostic, ...]:
    """Return all that is wrong or unwise in a Kubefile that is called ``file``; a bad one is no exception here.

    Raises: BuildArgError for a build argument that no ARG declares.
    """
    try:
        kubefile = parse(data, file=file)
    except KubefileError as error:
        return error.diagnostics
    return lint_kubefile(kubefile, context, options, allow=allow)


def lint_kubefile(
    kubefile: Kubefile,
    context: str | None = None,
    options: BuildOptions | None = None,
    *,
    allow: Collection[str] = (),
) -> tuple[Diagnostic, ...]:
    """Return all that is unwise in ``kubefile``, and what keeps it from being built in the folder ``context``.

    Shape:  what is about the Kubefile comes first, in the order of its lines; then other files, by name and line.
            Without a ``context`` only the text is looked at. ``allow`` are codes that are not told.
    Raises: BuildArgError for a build argument that no ARG declares.
    """
    found = list(lint(kubefile))
    if context is not None:
        found += _about_project(kubefile, context, options or BuildOptions())
    return tuple(sorted((one for one in found if one.code not in allow), key=lambda one: _place(one, kubefile.file)))


def _about_project(kubefile: Kubefile, context: str, options: BuildOptions) -> Iterator[Diagnostic]:
    ignores = Ignores(kubefile)
    try:
        project = Project(kubefile, context, options)
    except ContextError as error:
        yield from error.diagnostics
        return
    except KubefileError as error:
        # An ARG without a default gets its value when somebody builds.
        yield from (one for one in error.diagnostics if one.code != Mistake.UNSET_ARGUMENT.code)
        return
    except KubeimageError as error:
        if error.location is None:
            raise
        yield from error.diagnostics
        return
    for one in (*about_copies(project), *about_commands(project), *about_placements(project)):
        if one.location is None or not ignores.silence(one.code, one.location.line):
            yield one
    for found in about_manifests(project):
        if not ignores.silence(found.diagnostic.code, found.copied.step.location.line):
            yield found.diagnostic


def _place(one: Diagnostic, kubefile: str) -> tuple[bool, str, int, int]:
    place = one.location
    if place is None:
        return (False, "", 0, 0)
    return (place.file != kubefile, place.file, place.line, place.column)
