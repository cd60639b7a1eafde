"""``kubeimage rehearse``: the container images of an application, pulled as a cluster without internet would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kubeimage.api.backends import open_backends
from kubeimage.cli.completion import complete_images
from kubeimage.cli.images import platform_option
from kubeimage.cli.output import count, format_json, format_option, format_table, harmless
from kubeimage.cli.parsing import parse_platform
from kubeimage.cli.proofs import unreadable_to_json
from kubeimage.cli.session import Session, common_options

if TYPE_CHECKING:
    from kubeimage.rehearsal.outcome import Rehearsal, RehearsedImage


@click.command()
@click.argument("name", metavar="IMAGE", shell_complete=complete_images)
@platform_option
@format_option
@common_options
@click.pass_obj
def rehearse(session: Session, name: str, platform: str | None, form: str) -> int:
    """Serve what IMAGE has packed, and pull every container image that it names as a node without internet would.

    Exit status: 0, or 1 where a node would have to ask the internet, or would get something else.
    """
    from kubeimage.api.airgap import rehearse_image

    with open_backends(session.root, session.settings, access="read") as backends:
        found = rehearse_image(name, backends, platform=parse_platform(platform))
    if form == "json":
        click.echo(format_json(_to_json(found)))
    else:
        if found.images:
            click.echo(format_table(("IMAGE", "RESULT", "NAMED BY", "WHY"), [_row(one) for one in found.images]))
        if found.unreadable:
            click.echo("\n".join(harmless(str(one)) for one in found.unreadable))
    for warning in found.warnings:
        click.echo(f"warning: {harmless(warning)}", err=True)
    if found.why_together is not None:
        why = harmless(found.why_together)
        click.echo(f"note: there is no network without internet here ({why}): this process pulled by itself", err=True)
    click.echo(_sum_up(found), err=True)
    return 0 if found.is_complete else 1


def _row(one: RehearsedImage) -> tuple[str, str, str, str]:
    first, *more = map(str, one.places)
    named_by = f"{first} (and {len(more)} more)" if more else first
    return str(one.image), one.status, named_by, _why(one)


def _why(one: RehearsedImage) -> str:
    what = one.pulled.what
    return f"a node would ask {one.asked_host} for it: {what}" if one.asked_host is not None else what


def _sum_up(found: Rehearsal) -> str:
    lost = sum(one.status != "pulled" for one in found.images)
    parts = [count(len(found.images), "container image")]
    if found.images:
        parts.append(f"{lost} of them not there without internet" if lost else "all of them pulled without internet")
    if found.unreadable:
        parts.append(f"{count(len(found.unreadable), 'name')} cannot be read")
    if found.skipped:
        parts.append(f"{count(len(found.skipped), 'name')} skipped")
    return ", ".join(parts)


def _to_json(found: Rehearsal) -> dict[str, Any]:
    return {
        "platform": str(found.platform),
        "network": "none" if found.why_together is None else "host",
        "images": [_image_to_json(one) for one in found.images],
        "unreadable": [unreadable_to_json(one) for one in found.unreadable],
        "skipped": [{"text": one.text, **one.place._asdict(), "reason": one.reason} for one in found.skipped],
    }


def _image_to_json(one: RehearsedImage) -> dict[str, Any]:
    return {
        "image": str(one.image),
        "status": one.status,
        "what": one.pulled.what or None,
        "asked": one.asked_host,
        "digest": str(one.pulled.digest) if one.pulled.digest else None,
        "size": one.pulled.size if one.status == "pulled" else None,
        "places": [place._asdict() for place in one.places],
    }
