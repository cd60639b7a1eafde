"""``kubeimage tag`` and ``rmi``: names given and taken."""

from __future__ import annotations

import click

from kubeimage.api.backends import open_backends
from kubeimage.api.upkeep import Removed, remove_images, tag_image
from kubeimage.cli.completion import complete_images
from kubeimage.cli.output import count
from kubeimage.cli.parsing import parse_platform
from kubeimage.cli.session import Session, common_options
from kubeimage.report.sizes import format_size


@click.command()
@click.argument("source", shell_complete=complete_images)
@click.argument("target")
@common_options
@click.pass_obj
def tag(session: Session, source: str, target: str) -> None:
    """Give image SOURCE (a name, or the first characters of an image id) the name TARGET as well."""
    with open_backends(session.root, session.settings, access="look") as backends:
        tag_image(source, target, backends)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_images)
@click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="Take only this platform's image from the names.")
@common_options
@click.pass_obj
def rmi(session: Session, names: tuple[str, ...], platform: str | None) -> None:
    """Take each NAME (or the only name of an image id) away, and free what nothing else needs.

    If one of them is not there, none is taken.
    """
    chosen = parse_platform(platform)

    def show(removed: Removed) -> None:
        shown = session.naming.familiar(removed.reference)
        click.echo(f"untagged {shown}{f' for {chosen}' if chosen else ''}")
        if removed.blobs:
            click.echo(f"freed {count(len(removed.blobs), 'blob')}, {format_size(removed.size)}")

    with open_backends(session.root, session.settings, access="look") as backends:
        remove_images(names, backends, platform=chosen, observe=show)
