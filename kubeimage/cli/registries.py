"""``kubeimage push``, ``pull``, ``login`` and ``logout``: images to and from registries."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from kubeimage.cli.request import insecure_option, parse_name, parse_platform, progress_options
from kubeimage.cli.session import Session, common_options
from kubeimage.cli.transfers import open_transfers
from kubeimage.errors import UsageError
from kubeimage.settings import default_root

if TYPE_CHECKING:
    from kubeimage.image.media_types import Format
    from kubeimage.image.platform import Platform
    from kubeimage.layer.compression import Coding

_ALL = "all"


@click.command()
@click.argument("name")
@click.option(
    "--format",
    "form",
    type=click.Choice(["oci", "docker", "sealer"]),
    help="OCI's form, or Docker's schema 2 with a manifest list, or the latter with what sealer v0.8 needs; else the "
    "form that it has.",
)
@click.option(
    "--compression",
    metavar="gzip|zstd[:LEVEL]",
    help="How layers are compressed; else gzip, and those that came compressed stay as they are.",
)
@click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="Only the image for this platform; else all there are.")
@insecure_option
@progress_options
@common_options
@click.pass_obj
def push(
    session: Session,
    name: str,
    *,
    form: Format | None,
    compression: str | None,
    platform: str | None,
    insecure: tuple[str, ...],
    progress: str,
) -> None:
    """Send image NAME to the registry that its name says, and print the digest it has there.

    What the registry has is not sent.
    """
    session.as_json = progress == "json"
    coding = _parse_compression(compression)
    wanted = parse_platform(platform)
    settings = session.settings.with_insecure(insecure)
    reference = parse_name(name, "NAME", settings.naming)
    from kubeimage.api.distribution import push_image
    from kubeimage.protocols.transfer import WireForm

    wire = WireForm(form, coding, only_raw=compression is None)
    with open_transfers(progress) as watch:
        digest = push_image(reference, session.root or default_root(), settings, watch, form=wire, platform=wanted)
    click.echo(digest)


@click.command()
@click.argument("name")
@click.option(
    "--platform",
    "platforms",
    default="",
    metavar="OS/ARCH[/VARIANT][,...]",
    help="The platforms to fetch, or `all`; else this machine's.",
)
@insecure_option
@progress_options
@common_options
@click.pass_obj
def pull(session: Session, name: str, platforms: str, insecure: tuple[str, ...], progress: str) -> None:
    """Fetch image NAME from its registry, or a mirror of it, and print its digest.

    All of it is verified before the store shows anything of it; what the store has is not fetched.
    """
    session.as_json = progress == "json"
    settings = session.settings.with_insecure(insecure)
    reference = settings.naming.parse(name)
    wanted = _parse_platforms(platforms)
    from kubeimage.api.distribution import pull_image

    with open_transfers(progress) as watch:
        arrival = pull_image(reference, session.root or default_root(), settings, watch, platforms=wanted)
    click.echo(arrival.top.digest)


@click.command()
@click.argument("host")
@click.option("-u", "--username", metavar="USER", help="The user's name; else it is asked for.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@insecure_option
@common_options
@click.pass_obj
def login(
    session: Session, host: str, username: str | None, *, password_stdin: bool, insecure: tuple[str, ...]
) -> None:
    """Keep a name and password for registry HOST, once it has taken them.

    They are kept in Docker's configuration file, or by the credential helper that it names.
    """
    settings = session.settings.with_insecure(insecure)
    registry = _plain_host(host)
    user, password = _ask(username, password_stdin=password_stdin)
    from kubeimage.api.distribution import log_in

    place = log_in(registry, user, password, settings)
    click.echo(f"logged in at {registry} as {user}; kept in {place}", err=True)


@click.command()
@click.argument("host")
@common_options
@click.pass_obj
def logout(session: Session, host: str) -> None:  # noqa: ARG001  every command has a session
    """Forget the name and password for registry HOST."""
    from kubeimage.api.distribution import log_out

    known = log_out(_plain_host(host))
    click.echo(f"logged out of {host}" if known else f"there was no login at {host}", err=True)


def _parse_compression(text: str | None) -> Coding:
    from kubeimage.layer.compression import Coding

    return Coding.parse(text if text is not None else "gzip")


def _parse_platforms(text: str) -> list[Platform]:
    """Read platforms parted by commas; none of them means all.

    Raises: PlatformFormatError.
    """
    from kubeimage.image.platform import Platform

    if text == _ALL:
        return []
    return [Platform.parse(one) for one in text.split(",")] if text else [Platform.host()]


def _ask(username: str | None, *, password_stdin: bool) -> tuple[str, str]:
    """Get a name and a password, neither of them from the command line's end.

    Raises: UsageError where there is nobody to ask.
    """
    is_asked = username is None or not password_stdin
    if is_asked and not sys.stdin.isatty():
        missing = "-u USER" if username is None else "--password-stdin"
        raise UsageError(f"login needs {missing} where nobody can be asked")
    user = username if username is not None else click.prompt("Username", err=True)
    if not user or ":" in user:
        raise UsageError(f"not a user's name: {user!r}")
    if password_stdin:
        password = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    else:
        password = click.prompt("Password", hide_input=True, err=True)
    if not password:
        raise UsageError("the password is empty")
    return user, password


def _plain_host(text: str) -> str:
    """Give a registry's host as names of images have it, however it was typed.

    Raises: UsageError.
    """
    from kubeimage.image.reference import Naming

    host = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    Naming(host, "any").check()
    return host
