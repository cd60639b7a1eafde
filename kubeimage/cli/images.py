"""``kubeimage images``, ``inspect``, ``history`` and ``export``: to look at what the store has."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kubeimage.api.backends import open_backends
from kubeimage.api.finding import inspect_image, list_history
from kubeimage.cli.completion import complete_images
from kubeimage.cli.output import count, format_json, format_option, format_table, is_text, shorten
from kubeimage.cli.parsing import parse_platform
from kubeimage.cli.session import Session, common_options
from kubeimage.report.sizes import format_size

if TYPE_CHECKING:
    from kubeimage.api.backends import Backends
    from kubeimage.api.listing import ListedImage
    from kubeimage.image.referrers import Referrer

_Command = TypeVar("_Command", bound=Callable[..., Any])

_NO_NAME = "<none>"
_WIDEST_INSTRUCTION = 100

_platform_option = click.option(
    "--platform", metavar="OS/ARCH[/VARIANT]", help="Which one, where the name has images for several platforms."
)


def _remember_insecure(context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> None:
    context.ensure_object(Session).insecure = value


_insecure_option = click.option(
    "--insecure",
    multiple=True,
    metavar="HOST",
    expose_value=False,
    is_eager=True,
    callback=_remember_insecure,
    help="A registry that need not prove who it is; http://HOST for one without TLS. May be repeated.",
)


def platform_option(function: _Command) -> _Command:
    """Add what every command has that reads an image: ``--platform``, and ``--insecure`` for docker://."""
    return _platform_option(_insecure_option(function))


@click.command()
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only images with name=GLOB, platform=OS/ARCH, dangling=true|false, label=KEY[=VALUE] or "
    "type=application|cluster; may be repeated.",
)
@click.option(
    "--sort",
    "order",
    type=click.Choice(["name", "size", "created", "used"]),
    default="name",
    show_default=True,
    help="By name, or the largest, the youngest or the latest used first.",
)
@click.option("-q", "--quiet", is_flag=True, help="Only image ids.")
@format_option
@common_options
@click.pass_obj
def images(session: Session, *, filters: tuple[str, ...], order: str, quiet: bool, form: str) -> None:
    """List the images of the store, with their sizes and when they were made and last used.

    An image is used when it is built on, run, exported, saved or pushed; a new one when it came.
    """
    from kubeimage.api.listing import IMAGE_ORDERS, describe_images

    chosen = IMAGE_ORDERS[IMAGE_ORDERS.index(order)]
    with open_backends(session.root, session.settings, access="look") as backends:
        found = describe_images(backends, filters=filters, order=chosen)
    if quiet:
        click.echo("".join(f"{one}\n" for one in dict.fromkeys(one.record.image_id for one in found)), nl=False)
    elif form == "json":
        click.echo(format_json([_image_to_json(one, session) for one in found]))
    else:
        rows = [_image_row(one, session) for one in found]
        click.echo(format_table(("NAME", "IMAGE ID", "PLATFORM", "SIZE", "CREATED", "USED"), rows))


def _image_to_json(one: ListedImage, session: Session) -> dict[str, Any]:
    record = one.record
    return {
        "name": session.naming.familiar(record.reference) if record.reference else None,
        "reference": str(record.reference) if record.reference else None,
        "platform": str(record.platform),
        "image_id": str(record.image_id),
        "manifest": str(record.manifest),
        "size": one.size if one.image is not None else None,
        "stored": one.stored if one.image is not None else None,
        "created": one.created,
        "used": _moment(one.used) if one.used is not None else None,
        **_with_referrers(one.referrers),
    }


def _with_referrers(found: Sequence[Referrer]) -> dict[str, Any]:
    return {"referrers": [_referrer_to_json(one) for one in found]} if found else {}


def _image_row(one: ListedImage, session: Session) -> tuple[str, ...]:
    record = one.record
    return (
        session.naming.familiar(record.reference) if record.reference else _NO_NAME,
        record.image_id.short,
        str(record.platform),
        format_size(one.size) if one.image is not None else "damaged",
        (one.created or "").partition("T")[0] or "-",
        _moment(one.used) if one.used is not None else "-",
    )


@click.command()
@format_option
@common_options
@click.pass_obj
def df(session: Session, form: str) -> None:
    """Say what the store's room is used for.

    What prune would free is garbage; forms are layers that are kept compressed, or uncompressed, beside the others.
    """
    from kubeimage.api.listing import store_sizes

    with open_backends(session.root, session.settings, access="look") as backends:
        sizes = store_sizes(backends)
    total = sum(sizes.values())
    if form == "json":
        click.echo(format_json({**sizes, "total": total}))
        return
    rows = [(kind, format_size(size), str(size)) for kind, size in {**sizes, "total": total}.items()]
    click.echo(format_table(("WHAT", "SIZE", "BYTES"), rows))


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@click.command()
@click.argument("name", shell_complete=complete_images)
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@platform_option
@common_options
@click.pass_obj
def inspect(session: Session, name: str, form: str, platform: str | None) -> None:
    """Print the document of image NAME: a name, or the first characters of an image id.

    Where signatures, SBOMs or attestations of it are here, they are listed under `referrers`.
    """
    with open_backends(session.root, session.settings, access="look") as backends:
        document = inspect_image(name, backends, platform=parse_platform(platform))
        document |= _referrers_of(name, backends, platform)
    click.echo(format_json(document) if form == "json" else format_yaml(document))


def _referrers_of(name: str, backends: Backends, platform: str | None) -> dict[str, Any]:
    """Return what refers to an image of the store, as a part of its document; nothing where nothing does."""
    from kubeimage.api.referrers import list_referrers

    return _with_referrers(list_referrers(name, backends, platform=parse_platform(platform)))


def _referrer_to_json(one: Referrer) -> dict[str, Any]:
    return {
        "kind": one.label,
        "artifact_type": one.artifact_type,
        "digest": str(one.digest),
        "subject": str(one.subject),
        "tag": one.tag or None,
    }


def format_yaml(document: dict[str, Any]) -> str:
    """Return ``document`` as lines of YAML, the last one without its end; no terminal obeys a character of it."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines as they are read, such as a Clusterfile."""

    def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text and is_text(text) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, represent_text)
    text = yaml.dump(document, Dumper=Dumper, allow_unicode=True, width=120)
    if not is_text(text):
        # To YAML all of it are characters like others; a terminal obeys some of them.
        text = yaml.dump(document, Dumper=Dumper, allow_unicode=False, width=120)
    return text.removesuffix("\n")


@click.command()
@click.argument("name", shell_complete=complete_images)
@format_option
@platform_option
@common_options
@click.pass_obj
def history(session: Session, name: str, form: str, platform: str | None) -> None:
    """List the instructions that made image NAME, in their order, and the layer of each."""
    with open_backends(session.root, session.settings, access="look") as backends:
        past = list_history(name, backends, platform=parse_platform(platform))
    if form == "json":
        rows = [
            {
                "created_by": one.created_by,
                "dialect": one.dialect,
                "compatibility": one.compatibility,
                "layer": str(one.layer.diff_id) if one.layer else None,
                "size": one.layer.size if one.layer else None,
            }
            for one in past
        ]
        click.echo(format_json(rows))
        return
    table = [
        (
            str(number),
            one.layer.diff_id.short if one.layer else "",
            format_size(one.layer.size) if one.layer else "",
            shorten(one.created_by, _WIDEST_INSTRUCTION),
        )
        for number, one in enumerate(past, 1)
    ]
    click.echo(format_table(("STEP", "LAYER", "SIZE", "CREATED BY"), table))


@click.command()
@click.argument("name", shell_complete=complete_images)
@click.option("-o", "--output", required=True, metavar="DIR", help="A folder that is not there yet, or is empty.")
@platform_option
@common_options
@click.pass_obj
def export(session: Session, name: str, output: str, platform: str | None) -> None:
    """Write the root filesystem of image NAME into a folder: all of it, or nothing."""
    from kubeimage.api.exporting import export_image

    with open_backends(session.root, session.settings, access="read") as backends:
        exported = export_image(name, output, backends, platform=parse_platform(platform))
    click.echo(f"{count(len(exported.image.layers), 'layer')} written to {output}", err=True)
