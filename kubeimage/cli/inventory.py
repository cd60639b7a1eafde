"""``kubeimage inventory``: what a place has, to be left out when something is sent there."""

from __future__ import annotations

import click

from kubeimage.api.backends import open_backends
from kubeimage.cli.completion import complete_images
from kubeimage.cli.images import platform_option
from kubeimage.cli.output import format_json, format_option, format_table, harmless
from kubeimage.cli.parsing import parse_platform
from kubeimage.cli.session import Session, common_options


@click.command()
@click.argument("image", required=False, shell_complete=complete_images)
@platform_option
@format_option
@common_options
@click.pass_obj
def inventory(session: Session, image: str | None, *, platform: str | None, form: str) -> None:
    """List the digests of all that the store has, or IMAGE, in the store or elsewhere.

    Both forms can be read back: kubeimage save --since FILE leaves out what is listed.
    """
    from kubeimage.api.inventories import take_inventory

    with open_backends(session.root, session.settings, access="read") as backends:
        found = take_inventory(image, backends, platform=parse_platform(platform))
    for warning in found.warnings:
        click.echo(f"warning: {harmless(warning)}", err=True)
    if form == "json":
        click.echo(format_json(found.to_json()))
    else:
        click.echo(format_table(found.header, found.cells()))
