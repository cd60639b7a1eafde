"""``kubeimage fsck`` and ``prune``: to keep a store sound and small."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kubeimage.api.backends import open_backends
from kubeimage.api.sharing import prune_shared_cache
from kubeimage.api.upkeep import check_store, measure_store, prune_store
from kubeimage.cli.output import count, format_json, format_option, format_table, harmless
from kubeimage.cli.parsing import size_of
from kubeimage.cli.request import insecure_option
from kubeimage.cli.session import Session, common_options
from kubeimage.report.sizes import format_size
from kubeimage.settings import DURATIONS, parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubeimage.store.findings import Finding
    from kubeimage.store.policy import PrunePolicy


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


def _duration(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    seconds = parse_duration(value) if value is not None else None
    if value is not None and seconds is None:
        raise click.BadParameter(f"{value!r}: {DURATIONS}")
    return seconds


def _prune_shared(
    session: Session,
    name: str | None,
    older_than: float | None,
    insecure: tuple[str, ...],
    *,
    dry_run: bool,
    form: str,
) -> None:
    if name is None or older_than is None:
        raise click.UsageError("--cache-from and --older-than belong together")
    with open_backends(session.root, session.settings.with_insecure(insecure), access="look") as backends:
        pruned = prune_shared_cache(name, backends, older_than=older_than, dry_run=dry_run)
    if form == "json":
        click.echo(format_json({"dry_run": dry_run, "removed": pruned.removed, "kept": pruned.kept}))
    done = "would remove" if dry_run else "removed"
    click.echo(f"{done} {count(pruned.removed, 'record')} of {harmless(name)}, {pruned.kept} stay", err=True)


def _policy(
    keep_size: int | None, unused_for: float | None, *, keep_cache: bool, snapshots: bool, cache: bool
) -> PrunePolicy | None:
    """Return what is let go, None where nobody says.

    Raises: UsageError where the build cache is to be kept and let go.
    """
    from kubeimage.store.policy import PrunePolicy

    if keep_size is None and unused_for is None and not snapshots and not cache:
        return None
    if keep_cache and cache:
        raise click.UsageError("--keep-cache and --cache contradict each other")
    both = not snapshots and not cache
    return PrunePolicy(
        keep_size,
        unused_for,
        snapshots=snapshots or both,
        cache=(cache or both) and not keep_cache,
        garbage=cache or both,
    )


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--keep-cache", is_flag=True, help="Keep what the build cache needs, and unpacked layers.")
@click.option("--keep-size", metavar="SIZE", callback=size_of, help="Let go until the store has at most so much.")
@click.option("--unused-for", metavar="DURATION", callback=_duration, help="Let go what was not used for so long.")
@click.option("--snapshots", is_flag=True, help="Let go unpacked layers and kept compressed ones alone.")
@click.option("--cache", is_flag=True, help="Let go steps of the build cache alone.")
@click.option("--cache-from", metavar="REF", help="Delete old records of this shared cache instead: see --older-than.")
@click.option("--older-than", metavar="DURATION", callback=_duration, help="How old they are at least, as in 30d.")
@insecure_option
@format_option
@common_options
@click.pass_obj
def prune(
    session: Session,
    *,
    dry_run: bool,
    keep_cache: bool,
    keep_size: int | None,
    unused_for: float | None,
    snapshots: bool,
    cache: bool,
    cache_from: str | None,
    older_than: float | None,
    insecure: tuple[str, ...],
    form: str,
) -> None:
    """Delete what no image and no running build refers to; build cache and unpacked layers go too, unless kept.

    With --keep-size, --unused-for, --snapshots or --cache, the build cache and unpacked layers stay, but for those that
    these let go: by last use, and first what can be made again. Images that have a name always stay.
    """
    if cache_from is not None or older_than is not None:
        _prune_shared(session, cache_from, older_than, insecure, dry_run=dry_run, form=form)
        return
    policy = _policy(keep_size, unused_for, keep_cache=keep_cache, snapshots=snapshots, cache=cache)
    with open_backends(session.root, access="look") as backends:
        report = prune_store(backends, keep_cache=keep_cache, dry_run=dry_run, policy=policy)
        left = sum(measure_store(backends).values()) if keep_size is not None else 0
    if form == "json":
        items = [item._asdict() for item in report.items]
        click.echo(format_json({"dry_run": dry_run, "size": report.size, "items": items}))
    elif report.items:
        rows = [(item.kind, item.name, format_size(item.size)) for item in report.items]
        click.echo(format_table(("KIND", "NAME", "SIZE"), rows))
    done = "would free" if dry_run else "freed"
    click.echo(f"{done} {format_size(report.size)}, {count(len(report.items), 'item')}", err=True)
    if keep_size is not None and (over := left - (report.size if dry_run else 0) - keep_size) > 0:
        click.echo(
            f"note: {format_size(over)} more than {format_size(keep_size)} are left: images and builds need them",
            err=True,
        )
