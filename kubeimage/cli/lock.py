"""``kubeimage lock``."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, NamedTuple

import click

from kubeimage.api.backends import Backends, open_backends
from kubeimage.cli.output import count, harmless
from kubeimage.cli.progress import Progress, open_progress
from kubeimage.cli.request import BuildRequest, takes_build_request
from kubeimage.cli.session import Session
from kubeimage.errors import UsageError

if TYPE_CHECKING:
    from kubeimage.builder.plan import BuildOptions
    from kubeimage.kubefile import Kubefile
    from kubeimage.lock.lockfile import Lock


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; say what has changed since. Status 1 where something has.")
@click.option(
    "--update", "updated", multiple=True, metavar="NAME", help="Look only this name up anew; may be repeated."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["toml", "imgpkg"]),
    default="toml",
    show_default=True,
    help="The lock beside the Kubefile, or imgpkg's ImagesLock on standard output.",
)
@click.option("-o", "--output", metavar="FILE", help="Write into this file instead; - is standard output.")
@takes_build_request(makes_image=False)
def lock(
    session: Session,
    request: BuildRequest,
    *,
    check: bool,
    updated: tuple[str, ...],
    form: Literal["toml", "imgpkg"],
    output: str | None,
) -> int:
    """Write down, beside the Kubefile, what everything that the project names leads to today, and print the path.

    Locked are base images, the container images to be packed, and charts. `kubeimage build --locked` uses nothing else.
    The layers are made for that, since what a RUN writes may name images.
    """
    from kubeimage.api.locking import find_lock, read_lock

    if check and (updated or output is not None or form != "toml"):
        raise UsageError("--check writes nothing", hint="leave out --update, --format and --output")
    beside = find_lock(request.kubefile_path()) if check or updated or (output is None and form == "toml") else None
    known = read_lock(beside) if beside is not None and (check or updated) else None
    target = output if output is not None else beside if form == "toml" else "-"
    mode = "quiet" if request.quiet else request.progress
    session.as_json = mode == "json"
    with open_progress(mode) as progress, _opened(session, request, progress) as backends:
        work = _Work(session, request, backends, progress)
        if check and known is not None:
            return work.check(known)
        made = work.lock(known, updated)
    _write(made, form, target or "-")
    return 0


class _Work(NamedTuple):
    """What a lock is made or checked with."""

    session: Session
    request: BuildRequest
    backends: Backends
    progress: Progress

    def check(self, known: Lock) -> int:
        """Say what has changed, and return the exit status."""
        from kubeimage.api.locking import check_lock

        found = check_lock(
            known,
            self.kubefile,
            self.request.context,
            self.backends,
            options=self.options,
            watch=self.progress,
            observe=self.progress,
        )
        for one in found:
            click.echo(harmless(str(one)))
        click.echo(f"{count(len(found), 'difference')}: kubeimage lock" if found else "the lock holds", err=True)
        return 1 if found else 0

    def lock(self, known: Lock | None, updated: tuple[str, ...]) -> Lock:
        """Make the lock, of which all that is known stays but for what is ``updated``, if anything is."""
        from kubeimage.api.locking import lock_project

        return lock_project(
            self.kubefile,
            self.request.context,
            self.backends,
            platforms=self.request.platforms() or (known.platforms if known is not None else ()),
            options=self.options,
            known=known,
            update=updated or None,
            watch=self.progress,
            observe=self.progress,
        )

    @property
    def kubefile(self) -> Kubefile:
        return self.request.read_kubefile(self.session.settings.dialect)

    @property
    def options(self) -> BuildOptions:
        return self.request.options(os.environ, self.session.settings)


def _opened(session: Session, request: BuildRequest, progress: Progress) -> AbstractContextManager[Backends]:
    return open_backends(
        session.root,
        session.settings.with_insecure(request.insecure).with_stat_index(not request.no_stat_index),
        mount=request.mount,
        isolation=request.isolation,
        run=request.run(session.settings),
        notice=progress.note,
        watch=progress,
    )


def _write(made: Lock, form: Literal["toml", "imgpkg"], target: str) -> None:
    from kubeimage.api.locking import format_lock, write_lock

    if target == "-":
        click.echo(format_lock(made, form=form), nl=False)
    else:
        write_lock(made, target, form=form)
        click.echo(harmless(target))
    kinds = ((made.bases, "base"), (made.images, "image"), (made.charts, "chart"), (made.urls, "file"))
    told = ", ".join(count(len(entries), word) for entries, word in kinds if entries)
    click.echo(f"locked {told}" if told else "there is nothing to lock", err=True)
