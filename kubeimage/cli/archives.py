"""``kubeimage save`` and ``load``: images in files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from kubeimage.api.backends import open_backends
from kubeimage.api.finding import parse_name
from kubeimage.cli.completion import complete_images
from kubeimage.cli.images import platform_option
from kubeimage.cli.output import count, format_json, format_option
from kubeimage.cli.parsing import parse_platform
from kubeimage.cli.session import Session, common_options
from kubeimage.errors import UsageError
from kubeimage.image.media_types import is_layer
from kubeimage.image.oci import Descriptor
from kubeimage.report.sizes import format_size

if TYPE_CHECKING:
    from kubeimage.api.archives import Loaded


def _tell_of_layers(blob: Descriptor) -> None:
    if is_layer(blob.media_type):
        click.echo(f"layer {blob.digest.short} {format_size(blob.size)}", err=True)


@click.command()
@click.argument("name", shell_complete=complete_images)
@click.option("-o", "--output", required=True, metavar="FILE", help="The file to write; - is standard output.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["oci-archive", "docker-archive", "sealer"]),
    default="oci-archive",
    show_default=True,
    help="Whose form the file has; sealer: an OCI layout of Docker's schema 2, with what sealer v0.8 needs.",
)
@click.option(
    "--compression",
    metavar="gzip|zstd[:LEVEL]|none",
    help="Compress the layers of an oci-archive so; else they stay as the store has them.",
)
@platform_option
@common_options
@click.pass_obj
def save(session: Session, name: str, *, output: str, form: str, compression: str | None, platform: str | None) -> None:
    """Write image NAME into a file that kubeimage load, skopeo and docker load read: all of it, or nothing.

    The same image gives the same file. An image for several platforms is written with all of them, unless --platform
    names one.
    """
    from kubeimage.api.archives import ARCHIVE_FORMATS, save_image
    from kubeimage.layer.compression import Coding

    if output == "-" and sys.stdout.isatty():
        raise UsageError("an archive is nothing for a terminal", hint="name a file with -o, or pipe it somewhere")
    coding = Coding.parse(compression) if compression is not None else None
    chosen = ARCHIVE_FORMATS[ARCHIVE_FORMATS.index(form)]
    with open_backends(session.root, session.settings, access="read") as backends:
        saved = save_image(
            name,
            output,
            backends,
            form=chosen,
            platform=parse_platform(platform),
            coding=coding,
            observe=_tell_of_layers,
        )
    if saved.absent:
        click.echo(f"{count(saved.absent, 'image')} of the index, for other platforms, were never here", err=True)
    click.echo(f"{saved.manifest} written to {'standard output' if output == '-' else output}", err=True)


@click.command()
@click.option("-i", "--input", "source", required=True, metavar="FILE", help="The file to read; - is standard input.")
@click.option(
    "-t", "--tag", "tags", multiple=True, metavar="NAME", help="A name in place of the file's; may be repeated."
)
@format_option
@common_options
@click.pass_obj
def load(session: Session, *, source: str, tags: tuple[str, ...], form: str) -> None:
    """Bring the images of an OCI archive or a docker-archive, compressed or not, into the store: all, or none.

    Every digest is verified before anything is shown.
    """
    from kubeimage.api.archives import load_images

    references = tuple(parse_name(tag, session.naming, what="--tag") for tag in tags)
    with open_backends(session.root, session.settings) as backends:
        loaded = load_images(source, backends, references=references, observe=_tell_of_layers)
    for one in loaded:
        _warn_of(one)
    if form == "json":
        click.echo(format_json([_loaded_to_json(one) for one in loaded]))
        return
    for one in loaded:
        for line in _loaded_lines(one, session):
            click.echo(line)


def _warn_of(loaded: Loaded) -> None:
    for warning in loaded.arrival.warnings:
        click.echo(f"warning: {warning}", err=True)
    for absent in loaded.arrival.absent:
        what = f" for {absent.platform}" if absent.platform is not None else ""
        click.echo(f"note: the file does not hold {absent.digest}{what}", err=True)


def _loaded_to_json(loaded: Loaded) -> dict[str, Any]:
    images = loaded.arrival.images
    return {
        "references": [str(name) for name in loaded.references],
        "manifest": str(loaded.arrival.top.digest),
        "images": [{"platform": str(platform), "image_id": str(image_id)} for platform, _, image_id in images],
    }


def _loaded_lines(loaded: Loaded, session: Session) -> list[str]:
    """Return a line for each name of an image, or for each image where it has none."""
    images = loaded.arrival.images
    names = [session.naming.familiar(name) for name in loaded.references]
    ids = [image_id.short for _, _, image_id in images]
    platforms = ", ".join(str(platform) for platform, _, _ in images)
    return [f"loaded {name} ({platforms})" for name in names or ids]
