"""``kubeimage build``."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click

from kubeimage.api.backends import open_backends
from kubeimage.api.platforms import PlatformsResult, build_platforms
from kubeimage.api.sharing import share_cache
from kubeimage.cli.progress import open_progress
from kubeimage.cli.request import BuildRequest, takes_build_request
from kubeimage.cli.session import Session
from kubeimage.disk.replacing import replace_file
from kubeimage.errors import UsageError
from kubeimage.kubefile import lint

if TYPE_CHECKING:
    from kubeimage.registry.events import TransferObserver


@click.command()
@takes_build_request(tag_required=True)
@click.option("--push", is_flag=True, help="Then push the image to where its names say.")
def build(session: Session, request: BuildRequest, push: bool) -> None:
    """Build an image from the Kubefile and the files of CONTEXT, and print its id.

    For several platforms, all images are built before any is shown, and what is printed is the digest of their index.
    What happens is told on standard error. Exit status: 0 done, 1 the build failed, 2 wrong usage or a bad Kubefile.
    """
    mode = "quiet" if request.quiet else request.progress
    session.as_json = mode == "json"
    check_iidfile(request.iidfile)
    options = request.options(os.environ, session.settings)
    kubefile = request.read_kubefile(session.settings.dialect)
    with open_progress(mode) as progress:
        for advice in lint(kubefile):
            progress.advise(advice)
        with ExitStack() as stack:
            backends = stack.enter_context(
                open_backends(
                    session.root,
                    session.settings.with_insecure(request.insecure).with_stat_index(not request.no_stat_index),
                    mount=request.mount,
                    isolation=request.isolation,
                    run=request.run(session.settings),
                    notice=progress.note,
                    watch=progress,
                )
            )
            backends = stack.enter_context(share_cache(request.shared_cache(), backends, notice=progress.note))
            built = _builder(progress if push else None)(
                kubefile,
                request.context,
                backends,
                platforms=request.platforms(),
                options=options,
                observe=progress,
            ).digest
    if request.iidfile is not None:
        write_whole(request.iidfile, str(built))
    click.echo(built)


def _builder(watch: TransferObserver | None) -> Callable[..., PlatformsResult]:
    """Return what builds; with ``watch``, which is told of what is sent, it pushes as well."""
    if watch is None:
        return build_platforms
    from kubeimage.api.pushing import build_and_push

    return partial(build_and_push, watch=watch)


_LONGEST_NAME = 255
"""Bytes of a file's name on Linux."""


def check_iidfile(path: str | None) -> None:
    """Find out before the build whether its id can be written.

    Raises: UsageError.
    """
    if path is None:
        return
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path) or not os.path.isdir(folder):
        found = "a folder" if os.path.isdir(path) else f"no folder {folder!r}"
        raise UsageError(f"--iidfile takes the path of a file, found {found}: {path!r}")
    if len(os.fsencode(os.path.basename(path))) > _LONGEST_NAME:
        raise UsageError(f"--iidfile takes a file name of at most {_LONGEST_NAME} bytes")
    if not os.access(path if _is_special(path) else folder, os.W_OK):
        raise UsageError(
            f"--iidfile cannot be written: {path!r}", hint="choose a file in a folder that you may write to"
        )


def write_whole(path: str, text: str) -> None:
    """Write a file so that nobody ever sees half of it."""
    if _is_special(path):
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return
    replace_file(os.path.realpath(path), text.encode(), mode=0o644)


def _is_special(path: str) -> bool:
    """Whether ``path`` is a pipe, a terminal or the like, which must not be replaced by a file."""
    return os.path.exists(path) and not os.path.isfile(path)
