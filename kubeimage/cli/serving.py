"""``kubeimage serve``: an image, or what is packed in it, for others to pull."""

from __future__ import annotations

import threading

import click

from kubeimage.api.backends import open_backends
from kubeimage.cli.completion import complete_images
from kubeimage.cli.images import platform_option
from kubeimage.cli.output import format_json, format_option
from kubeimage.cli.parsing import parse_platform
from kubeimage.cli.session import Session, common_options


@click.command()
@click.argument("image", shell_complete=complete_images)
@click.option("--registry", "packed", is_flag=True, help="Serve the container images that are packed in IMAGE.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; there is no password.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port; else a free one.")
@platform_option
@format_option
@common_options
@click.pass_obj
def serve(
    session: Session,
    *,
    image: str,
    packed: bool,
    host: str,
    port: int,
    platform: str | None,
    form: str,
) -> None:
    """Serve any IMAGE as a registry that can only be read, until it is stopped with Ctrl-C.

    Standard output names what can be pulled, as in 127.0.0.1:5000/app:v1. It is served without TLS.
    """
    from kubeimage.api.serving import serve_image

    with (
        open_backends(session.root, session.settings, access="read") as backends,
        serve_image(image, backends, packed=packed, host=host, port=port, platform=parse_platform(platform)) as served,
    ):
        if form == "json":
            click.echo(format_json({"address": served.address, "images": list(served.images)}))
        else:
            click.echo("\n".join(served.images))
        click.echo(f"serving on http://{served.address} until Ctrl-C", err=True)
        threading.Event().wait()
