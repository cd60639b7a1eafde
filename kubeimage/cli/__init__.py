"""The command line: ``kubeimage build``, ``plan``, ``images`` and the rest.

A command is options, one call of `kubeimage.api` or `kubeimage.api.upkeep`, and output: results on standard output,
everything else on standard error. Only click is imported here; a command's module is imported when it is called.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from kubeimage._version import __version__
from kubeimage.cli.program import LazyCommand, Program
from kubeimage.cli.session import Interrupted, common_options

COMMANDS = {
    "build": LazyCommand("kubeimage.cli.build:build", "Build an image from a Kubefile and a context."),
    "plan": LazyCommand("kubeimage.cli.plan:plan", "Say what a build would do, and why; change nothing."),
    "lock": LazyCommand("kubeimage.cli.lock:lock", "Write down what a project's names lead to."),
    "images": LazyCommand("kubeimage.cli.images:images", "List the images of the store."),
    "df": LazyCommand("kubeimage.cli.images:df", "Say what the store's room is used for."),
    "inspect": LazyCommand("kubeimage.cli.images:inspect", "Print an image's document."),
    "history": LazyCommand("kubeimage.cli.images:history", "List the instructions that made an image."),
    "ls": LazyCommand("kubeimage.cli.looking:ls", "List the files of any image."),
    "cat": LazyCommand("kubeimage.cli.looking:cat", "Print a file of any image."),
    "serve": LazyCommand("kubeimage.cli.serving:serve", "Serve any image, or what it has packed, to be pulled."),
    "tag": LazyCommand("kubeimage.cli.names:tag", "Give an image another name."),
    "rmi": LazyCommand("kubeimage.cli.names:rmi", "Take names away, and free what only they held."),
    "export": LazyCommand("kubeimage.cli.images:export", "Write an image's files into a folder."),
    "push": LazyCommand("kubeimage.cli.registries:push", "Send an image to its registry."),
    "pull": LazyCommand("kubeimage.cli.registries:pull", "Fetch an image from its registry."),
    "login": LazyCommand("kubeimage.cli.registries:login", "Keep a name and password for a registry."),
    "logout": LazyCommand("kubeimage.cli.registries:logout", "Forget them."),
    "report": LazyCommand("kubeimage.cli.report:report", "Write an HTML page about an image."),
    "diff": LazyCommand("kubeimage.cli.pairs:diff", "List the paths that differ between two images."),
    "merge": LazyCommand("kubeimage.cli.pairs:merge", "Put images on top of each other."),
    "save": LazyCommand("kubeimage.cli.archives:save", "Write an image into a file."),
    "load": LazyCommand("kubeimage.cli.archives:load", "Bring the images of a file into the store."),
    "inventory": LazyCommand("kubeimage.cli.inventory:inventory", "List the digests of what a place has."),
    "images-of": LazyCommand("kubeimage.cli.airgap:images_of", "List the container images that an application names."),
    "verify": LazyCommand(
        "kubeimage.cli.airgap:verify", "Prove that an image's container images are whole in it, and signed."
    ),
    "sign": LazyCommand("kubeimage.cli.signing:sign", "Sign images with a private key."),
    "rehearse": LazyCommand(
        "kubeimage.cli.rehearse:rehearse", "Pull an image's container images from it, without a network."
    ),
    "lint": LazyCommand("kubeimage.cli.lint:lint", "Check a Kubefile without building it."),
    "fsck": LazyCommand("kubeimage.cli.upkeep:fsck", "Verify the store."),
    "prune": LazyCommand("kubeimage.cli.upkeep:prune", "Delete what nothing in the store refers to."),
    "version": LazyCommand("kubeimage.cli.version:version", "Print the version and where the store is."),
}


@click.group(
    name="kubeimage",
    cls=Program,
    commands_by_name=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="kubeimage", message="%(prog)s %(version)s")
@common_options
@click.pass_context
def program(context: click.Context) -> None:
    """Build, look at and keep cluster images."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


def main() -> NoReturn:
    """Run the command line of this process, and leave the process."""
    _fill_standard_streams()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # A signal that the parent had ignored, as nohup does, stays so.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    try:
        program.main(prog_name="kubeimage")
    finally:
        # The process ends: looking for garbage once more would only take time.
        gc.freeze()


def _fill_standard_streams() -> None:
    """Keep the store's files from getting the number of a standard stream that the parent has closed."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name) or open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, stream)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    # A second one must not break off the cleaning up after the first.
    signal.signal(number, signal.SIG_IGN)
    raise Interrupted(number)
