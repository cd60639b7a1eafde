"""``kubeimage report``: an image as one HTML page."""

from __future__ import annotations

import click

from kubeimage.api.backends import open_backends
from kubeimage.cli.completion import complete_images
from kubeimage.cli.images import platform_option
from kubeimage.cli.parsing import parse_platform
from kubeimage.cli.session import Session, common_options


@click.command()
@click.argument("image", metavar="IMAGE", shell_complete=complete_images)
@click.option("-o", "--output", metavar="FILE", required=True, help="The page to write, such as report.html.")
@click.option(
    "--against", metavar="IMAGE", shell_complete=complete_images, help="Show what differs from this image as well."
)
@platform_option
@common_options
@click.pass_obj
def report(session: Session, *, image: str, output: str, against: str | None, platform: str | None) -> None:
    """Write a page about IMAGE: verdicts, layers by instruction, files, changes and container images.

    The page is one file, and asks for no network. Exit status: 0, or 1 where a verdict is bad; then it is written too.
    """
    from kubeimage.api.reporting import report_image, write_report

    with open_backends(session.root, session.settings, access="read") as backends:
        page = report_image(image, backends, against=against, platform=parse_platform(platform))
    write_report([page], output)
    click.echo(f"{page.title} written to {output}", err=True)
    if not page.is_good:
        raise click.exceptions.Exit(1)
