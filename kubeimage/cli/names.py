"""``kubeimage tag`` and ``rmi``: names given and taken."""

from __future__ import annotations

import click

from kubeimage.api import building as api
from kubeimage.api import upkeep as maintenance
from kubeimage.api.finding import find_image
from kubeimage.cli.output import count, format_size
from kubeimage.cli.request import parse_name, parse_platform
from kubeimage.cli.session import Session, common_options


@click.command()
@click.argument("source")
@click.argument("target")
@common_options
@click.pass_obj
def tag(session: Session, source: str, target: str) -> None:
    """Give image SOURCE (a name, or the first characters of an image id) the name TARGET as well."""
    wanted = parse_name(target, "TARGET", session.naming)
    with api.open_backends(session.root, create=False) as backends:
        image, reference = find_image(source, backends.images, naming=session.naming)
        if reference is None:
            backends.images.put(image, (wanted,))
        else:
            backends.images.tag(reference, wanted)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="Take only this platform's image from the names.")
@common_options
@click.pass_obj
def rmi(session: Session, names: tuple[str, ...], platform: str | None) -> None:
    """Take each NAME (or the only name of an image id) away, and free what nothing else needs.

    If one of them is not there, none is taken.
    """
    chosen = parse_platform(platform)
    with api.open_backends(session.root, create=False) as backends:
        references = maintenance.find_names(names, backends.images, chosen, session.naming)
        for reference in references:
            removed = maintenance.remove_name(reference, backends.images, chosen)
            shown = session.naming.familiar(reference)
            click.echo(f"untagged {shown}{f' for {chosen}' if chosen else ''}")
            if removed.blobs:
                click.echo(f"freed {count(len(removed.blobs), 'blob')}, {format_size(removed.size)}")
