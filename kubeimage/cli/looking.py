"""``kubeimage ls`` and ``cat``: to look into any image."""

from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING, Any

import click

from kubeimage.api.backends import open_backends
from kubeimage.cli.completion import complete_images
from kubeimage.cli.images import platform_option
from kubeimage.cli.output import count, format_json, format_option, format_table, harmless, shorten
from kubeimage.cli.parsing import parse_platform
from kubeimage.cli.session import Session, common_options
from kubeimage.report.sizes import format_size

if TYPE_CHECKING:
    from kubeimage.api.backends import Backends
    from kubeimage.api.looking import ListedFile
    from kubeimage.layer.entry import Entry

_WIDEST_INSTRUCTION = 60
_LETTERS = {"directory": "d", "symlink": "l", "fifo": "p"}


@click.command()
@click.argument("image", shell_complete=complete_images)
@click.argument("path", default="/")
@click.option("-l", "--long", "is_long", is_flag=True, help="Modes, owners, sizes and times too.")
@click.option("--layers", "with_layers", is_flag=True, help="The layer that brought each, and what made it.")
@click.option("-R", "--recursive", is_flag=True, help="All below PATH too.")
@platform_option
@format_option
@common_options
@click.pass_obj
def ls(
    session: Session,
    *,
    image: str,
    path: str,
    is_long: bool,
    with_layers: bool,
    recursive: bool,
    platform: str | None,
    form: str,
) -> None:
    """List what stands in the directory PATH of any IMAGE; nothing is unpacked.

    IMAGE is NAME, oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], docker://HOST/NAME or
    docker-daemon:NAME.
    """
    from kubeimage.api.looking import list_files

    with open_backends(session.root, session.settings, access="read") as backends:
        found = list_files(image, path, backends, recursive=recursive, platform=parse_platform(platform))
        tell_fetched(backends)
        fetched = backends.fetched
    if form == "json":
        click.echo(format_json({"files": [_to_json(one) for one in found], "fetched": fetched}))
    elif is_long or with_layers:
        columns = [*(_LONG if is_long else ()), *(("LAYER", "CREATED BY") if with_layers else ())]
        rows = [_row(one, is_long=is_long, with_layers=with_layers) for one in found]
        click.echo(format_table((*columns[: 4 if is_long else 0], "PATH", *columns[4 if is_long else 0 :]), rows))
    elif found:
        click.echo("\n".join(harmless(one.entry.path) for one in found))


_LONG = ("MODE", "OWNER", "SIZE", "TIME")


def _row(one: ListedFile, *, is_long: bool, with_layers: bool) -> tuple[str, ...]:
    entry = one.entry
    before = (
        (_mode(entry), f"{entry.owner[0]}:{entry.owner[1]}", str(entry.size), _time(entry.mtime)) if is_long else ()
    )
    after = (str(one.layer), shorten(one.created_by, _WIDEST_INSTRUCTION)) if with_layers else ()
    arrow = f" -> {entry.target}" if entry.target and is_long else ""
    return (*before, f"{entry.path}{arrow}", *after)


def _mode(entry: Entry) -> str:
    import stat

    return _LETTERS.get(entry.kind.value, "-") + stat.filemode(entry.mode)[1:]


def _time(seconds: int) -> str:
    import time

    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def _to_json(one: ListedFile) -> dict[str, Any]:
    entry = one.entry
    return {
        "path": entry.path,
        "type": entry.kind.value,
        "mode": f"{entry.mode:04o}",
        "uid": entry.owner[0],
        "gid": entry.owner[1],
        "size": entry.size,
        "mtime": entry.mtime,
        "target": entry.target or None,
        "layer": one.layer,
        "diff_id": str(one.diff_id),
        "created_by": one.created_by,
    }


@click.command()
@click.argument("image", shell_complete=complete_images)
@click.argument("path")
@platform_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="The bytes as they are, or JSON with the content in base64 and where it is from.",
)
@common_options
@click.pass_obj
def cat(session: Session, *, image: str, path: str, platform: str | None, form: str) -> None:
    """Print the file PATH of any IMAGE.

    Layers are read from the topmost down, and no further than until it is sure which file is meant.
    """
    from kubeimage.api.looking import read_file

    content = bytearray()
    write = content.extend if form == "json" else sys.stdout.buffer.write
    with open_backends(session.root, session.settings, access="read") as backends:
        found = read_file(image, path, write, backends, platform=parse_platform(platform))
        tell_fetched(backends)
    if form == "json":
        value = {
            "path": found.entry.path,
            "mode": f"{found.entry.mode:04o}",
            "size": found.entry.size,
            "layer": found.layer,
            "diff_id": str(found.diff_id),
            "fetched": found.fetched,
            "content": base64.b64encode(content).decode(),
        }
        click.echo(format_json(value))
    else:
        sys.stdout.buffer.flush()


def tell_fetched(backends: Backends) -> None:
    """Say on standard error how many bytes of an image came over a network, where any did."""
    if backends.fetched:
        click.echo(f"fetched {format_size(backends.fetched)} ({count(backends.fetched, 'byte')})", err=True)
