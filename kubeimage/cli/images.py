"""``kubeimage images``, ``inspect``, ``history`` and ``export``: to look at what the store has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kubeimage.api import building as api
from kubeimage.api.finding import find_image
from kubeimage.cli.output import count, format_json, format_option, format_size, format_table, shorten
from kubeimage.cli.request import parse_platform
from kubeimage.cli.session import Session, common_options
from kubeimage.image.compatibility import read_comment
from kubeimage.image.document import History

if TYPE_CHECKING:
    from kubeimage.image.config import Image
    from kubeimage.image.document import Layer

_NO_NAME = "<none>"
_WIDEST_INSTRUCTION = 100

platform_option = click.option(
    "--platform", metavar="OS/ARCH[/VARIANT]", help="Which one, where the name has images for several platforms."
)


@click.command()
@format_option
@common_options
@click.pass_obj
def images(session: Session, form: str) -> None:
    """List the images of the store."""
    naming = session.naming
    with api.open_backends(session.root, create=False) as backends:
        records = backends.images.records()
    if form == "json":
        rows = [
            {
                "name": naming.familiar(record.reference) if record.reference else None,
                "reference": str(record.reference) if record.reference else None,
                "platform": str(record.platform),
                "image_id": str(record.image_id),
                "manifest": str(record.manifest),
            }
            for record in records
        ]
        click.echo(format_json(rows))
        return
    table = [
        (
            naming.familiar(record.reference) if record.reference else _NO_NAME,
            record.image_id.short,
            str(record.platform),
        )
        for record in records
    ]
    click.echo(format_table(("NAME", "IMAGE ID", "PLATFORM"), table))


@click.command()
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@platform_option
@common_options
@click.pass_obj
def inspect(session: Session, name: str, form: str, platform: str | None) -> None:
    """Print the document of image NAME: a name, or the first characters of an image id."""
    with api.open_backends(session.root, create=False) as backends:
        image, reference = find_image(name, backends.images, parse_platform(platform), session.naming)
    document = image.present(reference)
    click.echo(format_json(document) if form == "json" else _format_yaml(document))


def _format_yaml(document: dict[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines as they are read, such as a Clusterfile."""

    def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Dumper.add_representer(str, represent_text)
    return yaml.dump(document, Dumper=Dumper, allow_unicode=True, width=120).rstrip("\n")


@click.command()
@click.argument("name")
@format_option
@platform_option
@common_options
@click.pass_obj
def history(session: Session, name: str, form: str, platform: str | None) -> None:
    """List the instructions that made image NAME, in their order, and the layer of each."""
    with api.open_backends(session.root, create=False) as backends:
        image, _ = find_image(name, backends.images, parse_platform(platform), session.naming)
    past = _pair_with_layers(image)
    if form == "json":
        rows = [
            {
                "created_by": entry.created_by,
                **_rules_of(entry),
                "layer": str(layer.diff_id) if layer else None,
                "size": layer.size if layer else None,
            }
            for entry, layer in past
        ]
        click.echo(format_json(rows))
        return
    table = [
        (
            str(number),
            layer.diff_id.short if layer else "",
            format_size(layer.size) if layer else "",
            shorten(entry.created_by, _WIDEST_INSTRUCTION),
        )
        for number, (entry, layer) in enumerate(past, 1)
    ]
    click.echo(format_table(("STEP", "LAYER", "SIZE", "CREATED BY"), table))


def _pair_with_layers(image: Image) -> list[tuple[History, Layer | None]]:
    """Return each instruction with its layer; layers that no history tells of come last, with what made them."""
    layers = iter(image.layers)
    told = [(entry, None if entry.empty_layer else next(layers, None)) for entry in image.history]
    return [*told, *((History(f"{layer.kind} {layer.value}"), layer) for layer in layers)]


def _rules_of(entry: History) -> dict[str, Any]:
    """Return by which dialect and compatibility version an instruction was carried out, null where nobody says."""
    dialect, version = read_comment(entry.comment) or (None, None)
    return {"dialect": dialect, "compatibility": version}


@click.command()
@click.argument("name")
@click.option("-o", "--output", required=True, metavar="DIR", help="A folder that is not there yet, or is empty.")
@platform_option
@common_options
@click.pass_obj
def export(session: Session, name: str, output: str, platform: str | None) -> None:
    """Write the root filesystem of image NAME into a folder: all of it, or nothing."""
    from kubeimage.api.exporting import export_image

    with api.open_backends(session.root, create=False, hold=True) as backends:
        image, _ = find_image(name, backends.images, parse_platform(platform), session.naming)
        export_image(image, output, backends.layers)
    click.echo(f"{count(len(image.layers), 'layer')} written to {output}", err=True)
