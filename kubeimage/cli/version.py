"""``kubeimage version``."""

from __future__ import annotations

import os
import sys

import click

from kubeimage._version import __version__
from kubeimage.cli.output import format_json, format_option
from kubeimage.cli.session import Session, common_options
from kubeimage.image.platform import Platform
from kubeimage.settings import default_root


@click.command()
@format_option
@common_options
@click.pass_obj
def version(session: Session, form: str) -> None:
    """Print the version, and where the store is."""
    facts = {
        "version": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "platform": str(Platform.host()),
        "root": os.path.abspath(session.root) if session.root else default_root(),
    }
    if form == "json":
        click.echo(format_json(facts))
    else:
        click.echo(
            f"kubeimage {facts['version']} (Python {facts['python']}, {facts['platform']}, store {facts['root']})"
        )
