"""``kubeimage push``, ``pull``, ``login`` and ``logout``: images to and from registries."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import click

from kubeimage.cli.completion import complete_images
from kubeimage.cli.parsing import parse_platform
from kubeimage.cli.request import insecure_option, progress_options, referrers_option
from kubeimage.cli.session import Session, common_options
from kubeimage.cli.transfers import open_transfers
from kubeimage.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubeimage.image.media_types import Format
    from kubeimage.image.platform import Platform
    from kubeimage.image.referrers import ReferrerChoice
    from kubeimage.layer.compression import Coding


@click.command()
@click.argument("name", shell_complete=complete_images)
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
@referrers_option("all that is here")
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
    referrers: ReferrerChoice | None,
    insecure: tuple[str, ...],
    progress: str,
) -> None:
    """Send image NAME to the registry that its name says, and print the digest it has there.

    What the registry has is not sent. What refers to the image is there before the tag is.
    """
    session.as_json = progress == "json"
    coding = _parse_compression(compression)
    wanted = parse_platform(platform)
    settings = session.settings.with_insecure(insecure)
    from kubeimage.api.backends import open_backends
    from kubeimage.api.distribution import push_image

    with open_transfers(progress) as watch, open_backends(session.root, settings, access="read") as backends:
        digest = push_image(
            name, backends, form=form, coding=coding, platform=wanted, referrers=referrers, observe=watch
        )
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
@referrers_option("none")
@insecure_option
@progress_options
@common_options
@click.pass_obj
def pull(
    session: Session,
    name: str,
    *,
    platforms: str,
    referrers: ReferrerChoice | None,
    insecure: tuple[str, ...],
    progress: str,
) -> None:
    """Fetch image NAME from its registry, or a mirror of it, and print its digest.

    All of it is verified before the store shows anything of it; what the store has is not fetched.
    """
    session.as_json = progress == "json"
    settings = session.settings.with_insecure(insecure)
    wanted = _parse_platforms(platforms)
    from kubeimage.api.backends import open_backends
    from kubeimage.api.distribution import pull_image

    with open_transfers(progress) as watch, open_backends(session.root, settings) as backends:
        arrival = pull_image(name, backends, platforms=wanted, referrers=referrers, observe=watch)
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
    from kubeimage.api.distribution import log_in, plain_host

    registry = plain_host(host)
    user, password = _ask(username, password_stdin=password_stdin)
    place = log_in(registry, user, password, settings=settings)
    click.echo(f"logged in at {registry} as {user}; kept in {place}", err=True)


@click.command()
@click.argument("host")
@common_options
@click.pass_obj
def logout(session: Session, host: str) -> None:  # noqa: ARG001  every command has a session
    """Forget the name and password for registry HOST."""
    from kubeimage.api.distribution import log_out

    known = log_out(host)
    click.echo(f"logged out of {host}" if known else f"there was no login at {host}", err=True)


def _parse_compression(text: str | None) -> Coding | None:
    from kubeimage.layer.compression import Coding

    return Coding.parse(text) if text is not None else None


def _parse_platforms(text: str) -> Sequence[Platform] | Literal["all"]:
    """Read platforms with commas between them.

    Raises: PlatformFormatError.
    """
    from kubeimage.image.platform import Platform

    if text == "all":
        return "all"
    return [Platform.parse(one) for one in text.split(",")] if text else []


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
