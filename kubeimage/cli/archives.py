"""``kubeimage save`` and ``load``: images in files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from kubeimage.api.backends import open_backends
from kubeimage.api.finding import parse_name
from kubeimage.cli.completion import complete_images
from kubeimage.cli.images import platform_option
from kubeimage.cli.output import count, format_json, format_option, harmless
from kubeimage.cli.parsing import parse_platform, size_of
from kubeimage.cli.request import referrers_option
from kubeimage.cli.session import Session, common_options
from kubeimage.errors import UsageError
from kubeimage.image.media_types import is_layer
from kubeimage.image.oci import Descriptor
from kubeimage.report.sizes import format_size

if TYPE_CHECKING:
    from kubeimage.api.archives import Saved
    from kubeimage.api.loading import Loaded
    from kubeimage.image.referrers import ReferrerChoice


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
@click.option(
    "--since",
    metavar="INVENTORY|ARCHIVE|NAME",
    help="Leave out the layers that are listed there: in what kubeimage inventory printed, an archive, an image.",
)
@click.option(
    "--split",
    metavar="SIZE",
    callback=size_of,
    help="Write parts of at most this size into the folder -o names.",
)
@referrers_option("all that is here")
@platform_option
@common_options
@click.pass_obj
def save(
    session: Session,
    name: str,
    *,
    output: str,
    form: str,
    compression: str | None,
    since: str | None,
    split: int | None,
    referrers: ReferrerChoice | None,
    platform: str | None,
) -> None:
    """Write image NAME into a file that kubeimage load, skopeo and docker load read: all of it, or nothing.

    The same image gives the same file. An image for several platforms is written with all of them, unless --platform
    names one. What --since leaves out, who loads it must have. Parts can be verified alone and load in any order.
    """
    from kubeimage.api.archives import ARCHIVE_FORMATS, save_image
    from kubeimage.api.inventories import find_inventory
    from kubeimage.layer.compression import Coding

    if output == "-" and sys.stdout.isatty():
        raise UsageError("an archive is nothing for a terminal", hint="name a file with -o, or pipe it somewhere")
    coding = Coding.parse(compression) if compression is not None else None
    with open_backends(session.root, session.settings, access="read") as backends:
        saved = save_image(
            name,
            output,
            backends,
            form=ARCHIVE_FORMATS[ARCHIVE_FORMATS.index(form)],
            platform=parse_platform(platform),
            coding=coding,
            since=find_inventory(since, backends) if since is not None else None,
            split=split,
            referrers=referrers,
            observe=_tell_of_layers,
        )
    _sum_up(saved, output, form, in_parts=split is not None)


def _sum_up(saved: Saved, output: str, form: str, *, in_parts: bool) -> None:
    if saved.absent:
        click.echo(f"{count(saved.absent, 'image')} of the index, for other platforms, were never here", err=True)
    if saved.left_out:
        size = format_size(sum(one.size for one in saved.left_out))
        click.echo(f"{count(len(saved.left_out), 'layer')} left out, {size}: who loads it must have them", err=True)
    if saved.referrers:
        click.echo(f"with what refers to it: {', '.join(map(str, saved.referrers))}", err=True)
    if saved.stayed:
        why = "a docker-archive has no room for it" if form == "docker-archive" else "it refers to another form"
        click.echo(f"warning: left behind, for {why}: {', '.join(map(str, saved.stayed))}", err=True)
    where = "standard output" if output == "-" else output
    parts = f" in {count(len(saved.files), 'part')}" if in_parts else ""
    click.echo(f"{saved.manifest} written to {where}{parts}", err=True)


@click.command()
@click.option(
    "-i",
    "--input",
    "sources",
    required=True,
    multiple=True,
    metavar="FILE|FOLDER",
    help="The file to read, a folder of files, or an OCI image layout; may be repeated, in any order. - is standard "
    "input.",
)
@click.option(
    "-t", "--tag", "tags", multiple=True, metavar="NAME", help="A name in place of the file's; may be repeated."
)
@click.option("--check", is_flag=True, help="Only verify parts, each alone; load nothing.")
@referrers_option("all")
@format_option
@common_options
@click.pass_obj
def load(
    session: Session,
    *,
    sources: tuple[str, ...],
    tags: tuple[str, ...],
    check: bool,
    referrers: ReferrerChoice | None,
    form: str,
) -> None:
    """Bring the images of OCI archives or docker-archives, compressed or not, into the store: all, or none.

    Every digest is verified before anything is shown. Parts that save --split wrote are put together, in any order.
    """
    from kubeimage.api.loading import check_archives, load_images

    if check:
        with open_backends(session.root, session.settings, access="look") as backends:
            lines = check_archives(sources, backends)
        click.echo(format_json(lines) if form == "json" else "\n".join(map(harmless, lines)))
        return
    references = tuple(parse_name(tag, session.naming, what="--tag") for tag in tags)
    with open_backends(session.root, session.settings) as backends:
        loaded = load_images(
            sources,
            backends,
            references=references,
            referrers=referrers,
            observe=_tell_of_layers,
            notice=_tell_notice,
        )
    for one in loaded:
        _warn_of(one)
    if form == "json":
        click.echo(format_json([_loaded_to_json(one) for one in loaded]))
        return
    for one in loaded:
        for line in _loaded_lines(one, session):
            click.echo(line)


def _tell_notice(message: str) -> None:
    click.echo(f"note: {harmless(message)}", err=True)


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
