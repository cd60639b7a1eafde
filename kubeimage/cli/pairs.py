"""``kubeimage diff`` and ``merge``: what two images and more have to do with each other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from kubeimage.api.backends import open_backends
from kubeimage.api.finding import parse_name
from kubeimage.cli.completion import complete_images
from kubeimage.cli.images import platform_option
from kubeimage.cli.output import count, format_json, format_option, format_table
from kubeimage.cli.parsing import EPOCH_VARIABLE, parse_epoch, parse_platform
from kubeimage.cli.session import Session, common_options
from kubeimage.report.sizes import format_size

if TYPE_CHECKING:
    from kubeimage.api.comparing import Difference
    from kubeimage.layer.entry import Entry

_MARKS = {"added": "+", "removed": "-", "changed": "~"}


@click.command()
@click.argument("old", metavar="A", shell_complete=complete_images)
@click.argument("new", metavar="B", shell_complete=complete_images)
@format_option
@platform_option
@common_options
@click.pass_obj
def diff(session: Session, *, old: str, new: str, form: str, platform: str | None) -> None:
    """List the paths that differ between the root filesystems of images A and B: + added, - removed, ~ changed.

    Times don't count. Exit status 0, whether something differs or not.
    """
    from kubeimage.api.comparing import compare_images

    with open_backends(session.root, session.settings, access="read") as backends:
        found = compare_images(old, new, backends, platform=parse_platform(platform))
    if form == "json":
        click.echo(format_json([_to_json(one) for one in found]))
        return
    if found:
        click.echo(
            format_table(("", "PATH", "WHAT"), [(_MARKS[one.change], one.path, _describe(one)) for one in found])
        )
    click.echo(_sum_up(found), err=True)


def _describe(one: Difference) -> str:
    if one.old is not None and one.new is not None:
        return ", ".join(f"{what} {_values(what, one.old, one.new)}".rstrip() for what in one.what)
    entry = one.new or one.old
    assert entry is not None
    return f"{entry.kind.value} {format_size(entry.size)}" if entry.size else entry.kind.value


def _values(what: str, old: Entry, new: Entry) -> str:
    match what:
        case "mode":
            return f"{old.mode:04o} -> {new.mode:04o}"
        case "type":
            return f"{old.kind.value} -> {new.kind.value}"
        case "target":
            return f"{old.target} -> {new.target}"
        case "content" if old.size != new.size:
            return f"{format_size(old.size)} -> {format_size(new.size)}"
    return ""


def _to_json(one: Difference) -> dict[str, Any]:
    return {
        "path": one.path,
        "change": one.change,
        "what": list(one.what),
        "old": _entry_to_json(one.old),
        "new": _entry_to_json(one.new),
    }


def _entry_to_json(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {
        "type": entry.kind.value,
        "mode": f"{entry.mode:04o}",
        "size": entry.size,
        "target": entry.target or None,
    }


def _sum_up(found: list[Difference]) -> str:
    if not found:
        return "no difference"
    counts = {change: sum(one.change == change for one in found) for change in _MARKS}
    return ", ".join(f"{count(number, 'path')} {change}" for change, number in counts.items() if number)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="A B...", shell_complete=complete_images)
@click.option("-t", "--tag", "tags", multiple=True, required=True, metavar="NAME", help="A name; may be repeated.")
@platform_option
@common_options
@click.pass_obj
def merge(session: Session, names: tuple[str, ...], tags: tuple[str, ...], platform: str | None) -> None:
    """Put images on top of each other, A lowest, and print the id of what comes out.

    Its files are what you get by applying A, then B. It is a cluster image where any of them is one. Commands,
    arguments and labels are joined in order; of equal keys the later one's value counts.
    """
    from kubeimage.api.merging import merge_images

    references = tuple(parse_name(tag, session.naming, what="--tag") for tag in tags)
    epoch = parse_epoch(os.environ.get(EPOCH_VARIABLE))
    with open_backends(session.root, session.settings) as backends:
        merged = merge_images(names, references, backends, platform=parse_platform(platform), epoch=epoch)
    click.echo(merged.digest)
