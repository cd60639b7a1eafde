"""``kubeimage fsck`` and ``prune``: to keep a store sound and small."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kubeimage.api.backends import open_backends
from kubeimage.api.upkeep import check_store, prune_store
from kubeimage.cli.output import count, format_json, format_option, format_table, harmless
from kubeimage.cli.session import Session, common_options
from kubeimage.report.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubeimage.store.findings import Finding


@click.command()
@click.option("--repair", is_flag=True, help="Rebuild what can be. An image that is damaged is lost.")
@format_option
@common_options
@click.pass_obj
def fsck(session: Session, *, repair: bool, form: str) -> int:
    """Verify every digest, size and reference of the store.

    Exit status: 0 sound, or all repaired; 1 damaged, or an image was lost in the repair.
    """
    with open_backends(session.root, access="look") as backends:
        findings = check_store(backends, repair=repair)
    if form == "json":
        click.echo(format_json([asdict(finding) for finding in findings]))
    elif findings:
        click.echo("\n\n".join(_lay_out(finding) for finding in findings))
    click.echo(_sum_up(findings), err=True)
    return int(any(finding.lost or (finding.damage and not finding.repaired) for finding in findings))


def _lay_out(finding: Finding) -> str:
    kind = "lost" if finding.lost else "repaired" if finding.repaired else "damage" if finding.damage else "note"
    lines = [f"{kind}: {harmless(finding.what)}", f"  --> {harmless(finding.where)}"]
    return "\n".join(lines if finding.repaired and not finding.lost else [*lines, f"hint: {harmless(finding.advice)}"])


def _sum_up(findings: Sequence[Finding]) -> str:
    damaged = sum(finding.damage and not finding.repaired for finding in findings)
    lost = sum(finding.lost for finding in findings)
    repaired = sum(finding.repaired for finding in findings) - lost
    notes = len(findings) - damaged - repaired - lost
    told = [f"{damaged} damaged" if damaged else "the store is sound"]
    told += [f"{count(lost, 'image')} lost"] if lost else []
    told += [f"{repaired} repaired"] if repaired else []
    return ", ".join([*told, count(notes, "note")] if notes else told)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--keep-cache", is_flag=True, help="Keep what the build cache needs.")
@format_option
@common_options
@click.pass_obj
def prune(session: Session, *, dry_run: bool, keep_cache: bool, form: str) -> None:
    """Delete what no image and no running build refers to; the build cache goes too, unless it is kept."""
    with open_backends(session.root, access="look") as backends:
        report = prune_store(backends, keep_cache=keep_cache, dry_run=dry_run)
    if form == "json":
        items = [item._asdict() for item in report.items]
        click.echo(format_json({"dry_run": dry_run, "size": report.size, "items": items}))
    elif report.items:
        rows = [(item.kind, item.name, format_size(item.size)) for item in report.items]
        click.echo(format_table(("KIND", "NAME", "SIZE"), rows))
    done = "would free" if dry_run else "freed"
    click.echo(f"{done} {format_size(report.size)}, {count(len(report.items), 'item')}", err=True)
