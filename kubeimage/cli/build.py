"""``kubeimage build``."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import click

from kubeimage.api import building as api
from kubeimage.cli.progress import Progress, open_progress
from kubeimage.cli.request import BuildRequest, takes_build_request
from kubeimage.cli.session import Session
from kubeimage.errors import UsageError
from kubeimage.image.digest import Digest
from kubeimage.kubefile import Kubefile, lint


@click.command()
@takes_build_request(tag_required=True)
def build(session: Session, request: BuildRequest) -> None:
    """Build an image from the Kubefile and the files of CONTEXT, and print its id.

    For several platforms, all images are built before any is shown, and what is printed is the digest of their index.
    What happens is told on standard error. Exit status: 0 done, 1 the build failed, 2 wrong usage or a bad Kubefile.
    """
    mode = "quiet" if request.quiet else request.progress
    session.as_json = mode == "json"
    check_iidfile(request.iidfile)
    options = request.options(os.environ, session.naming)
    kubefile = api.read_kubefile(request.kubefile_path())
    with open_progress(mode) as progress:
        for advice in lint(kubefile):
            progress.advise(advice)
        make = _build_one if len(request.platforms()) < 2 else _build_several
        built = make(session, request, kubefile, options, progress)
    if request.iidfile is not None:
        write_whole(request.iidfile, str(built))
    click.echo(built)


def _build_one(
    session: Session, request: BuildRequest, kubefile: Kubefile, options: api.BuildOptions, progress: Progress
) -> Digest:
    api.check_build(kubefile, request.context, session.root, options, fetches=True)
    with _open_backends(session, request, progress) as backends:
        return api.build(kubefile, request.context, backends, options, progress).image.id


def _build_several(
    session: Session, request: BuildRequest, kubefile: Kubefile, options: api.BuildOptions, progress: Progress
) -> Digest:
    from kubeimage.api.platforms import build_platforms, check_platforms

    platforms = request.platforms()
    check_platforms(kubefile, request.context, session.root, options, platforms, fetches=True)
    with _open_backends(session, request, progress) as backends:
        return build_platforms(
            kubefile,
            request.context,
            backends,
            platforms,
            options,
            observe=progress,
            announce=lambda platform: progress.note(f"for {platform}"),
        ).index


def _open_backends(session: Session, request: BuildRequest, progress: Progress) -> AbstractContextManager[api.Backends]:
    return api.open_backends(
        session.root,
        mount=request.mount,
        isolation=request.isolation,
        notice=progress.note,
        settings=session.settings.with_insecure(request.insecure),
        watch=progress,
    )


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
    import tempfile

    target = os.path.realpath(path)
    handle, unfinished = tempfile.mkstemp(prefix=f".{os.path.basename(target)}.", dir=os.path.dirname(target))
    try:
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            os.fchmod(stream.fileno(), 0o644)
        os.replace(unfinished, target)
    except BaseException:
        os.unlink(unfinished)
        raise


def _is_special(path: str) -> bool:
    """Whether ``path`` is a pipe, a terminal or the like, which must not be replaced by a file."""
    return os.path.exists(path) and not os.path.isfile(path)
