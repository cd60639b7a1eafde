"""``kubeimage lint``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

import click

from kubeimage.api.linting import Linted, check_allowed, lint_bytes, lint_paths, meanings
from kubeimage.cli.diagnostics import render, width_of
from kubeimage.cli.output import count, diagnostic_to_json, format_json, harmless
from kubeimage.cli.session import common_options
from kubeimage.errors import Diagnostic, UsageError
from kubeimage.report.text import lay_out

STANDARD_INPUT = "-"
FORMATS = ("text", "json", "github", "gitlab", "sarif")


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path())
@click.option("--strict", is_flag=True, help="Let warnings fail, with exit status 1.")
@click.option("--allow", multiple=True, metavar="CODE", help="Don't tell of CODE, as in W06. May be repeated.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="How to print.")
@click.option("--context", metavar="DIR", help="The build context; else the folder of each Kubefile.")
@click.option("--stdin-filename", metavar="PATH", help="What the Kubefile on standard input is called.")
@common_options
def lint(
    paths: tuple[str, ...],
    *,
    strict: bool,
    allow: tuple[str, ...],
    form: str,
    context: str | None,
    stdin_filename: str | None,
) -> int:
    """Check Kubefiles without building them: files, folders with all that is below them, or - for standard input.

    What COPY would bring is looked at as well. All that is wrong or unwise is printed on standard output.
    A line in the Kubefile silences advice on the next instruction: # lint: ignore=W06

    Exit status: 0 nothing wrong, 1 warnings with --strict, 2 errors or wrong usage.
    """
    wanted = paths or (".",)
    if STANDARD_INPUT in wanted:
        linted = [_lint_standard_input(wanted, stdin_filename, context, allow)]
    elif stdin_filename is not None:
        raise UsageError("--stdin-filename goes with -, the Kubefile on standard input")
    else:
        linted = list(lint_paths(wanted, context=context, allow=allow))
    findings = [one for file in linted for one in file.diagnostics]
    _show(findings, form)
    subject = linted[0].path if len(linted) == 1 else count(len(linted), "Kubefile")
    them = "it" if len(linted) == 1 else "them"
    click.echo(f"{harmless(subject)}: {_sum_up(findings) or f'nothing to say against {them}'}", err=True)
    return _status(findings, strict=strict)


def _lint_standard_input(paths: Sequence[str], name: str | None, context: str | None, allow: Sequence[str]) -> Linted:
    if len(paths) > 1:
        raise UsageError("- stands for the one Kubefile on standard input, and no other path goes with it")
    check_allowed(allow)
    file = name or "<stdin>"
    if context is None and name is not None:
        # An editor asks for a file in its folder; one that is still to be made has none.
        folder = os.path.dirname(name) or "."
        context = folder if os.path.isdir(folder) else None
    return Linted(file, lint_bytes(sys.stdin.buffer.read(), file=file, context=context, allow=allow))


def _show(findings: Sequence[Diagnostic], form: str) -> None:
    if form == "text":
        if findings:
            click.echo(render(lay_out(findings, width_of(sys.stdout)), sys.stdout))
    elif form == "github":
        from kubeimage.report.github import format_github

        if findings:
            click.echo(format_github(findings, os.getcwd()))
    else:
        click.echo(format_json(_as_json(findings, form)))


def _as_json(findings: Sequence[Diagnostic], form: str) -> object:
    if form == "gitlab":
        from kubeimage.report.gitlab import gitlab_report

        return gitlab_report(findings, os.getcwd())
    if form == "sarif":
        from kubeimage.report.sarif import sarif_log

        return sarif_log(findings, os.getcwd(), meanings())
    return [diagnostic_to_json(finding) for finding in findings]


def _sum_up(findings: Iterable[Diagnostic]) -> str:
    severities = [finding.severity for finding in findings]
    found = [count(number, noun) for noun in ("error", "warning", "note") if (number := severities.count(noun))]
    return ", ".join(found)


def _status(findings: Iterable[Diagnostic], *, strict: bool) -> int:
    severities = {finding.severity for finding in findings}
    if "error" in severities:
        return 2
    return 1 if strict and "warning" in severities else 0
