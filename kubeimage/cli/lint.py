"""``kubeimage lint``."""

from __future__ import annotations

import os

import click

from kubeimage.api import building as api
from kubeimage.cli.output import count, diagnostic_to_json, format_json, format_option, harmless, harmless_lines
from kubeimage.cli.session import common_options
from kubeimage.errors import Diagnostic, KubefileError
from kubeimage.kubefile import lint as give_advice
from kubeimage.report import format_diagnostics


@click.command()
@click.argument("kubefile", default=".", metavar="[KUBEFILE]")
@click.option("--strict", is_flag=True, help="Let warnings fail, with exit status 1.")
@format_option
@common_options
def lint(kubefile: str, *, strict: bool, form: str) -> int:
    """Check a Kubefile, or the one in a folder, without building it.

    The folder that it stands in is taken as the build context, to look for images that would be left behind.
    All that is wrong or unwise is printed on standard output. Exit status: 0 valid, 2 not valid.
    """
    path = api.find_kubefile(kubefile) if os.path.isdir(kubefile) else kubefile
    findings, status = _check(path, kubefile if os.path.isdir(kubefile) else os.path.dirname(kubefile) or ".")
    _show(findings, form)
    click.echo(f"{harmless(path)}: {_sum_up(findings)}", err=True)
    return status or (1 if strict and findings else 0)


def _check(path: str, context: str) -> tuple[tuple[Diagnostic, ...], int]:
    from kubeimage.api.airgap import advise_on_strays

    try:
        parsed = api.read_kubefile(path)
        return (*give_advice(parsed), *advise_on_strays(parsed, context)), 0
    except KubefileError as error:
        return error.diagnostics, error.exit_status


def _show(findings: tuple[Diagnostic, ...], form: str) -> None:
    if form == "json":
        click.echo(format_json([diagnostic_to_json(finding) for finding in findings]))
    elif findings:
        click.echo(harmless_lines(format_diagnostics(findings)))


def _sum_up(findings: tuple[Diagnostic, ...]) -> str:
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    found = [count(number, noun) for number, noun in ((errors, "error"), (warnings, "warning")) if number]
    return ", ".join(found) or "nothing to say against it"
