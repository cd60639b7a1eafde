"""What one RUN does to the image below it, over protocols alone.

Source: the project's design, "Execution".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from kubeimage.builder.lending import lend, with_owners, without_lent
from kubeimage.builder.step import Step
from kubeimage.builder.steps import Made
from kubeimage.errors import CommandError, CommandTimeoutError
from kubeimage.layer.disclosure import Redactor, Secrets, find_disclosed
from kubeimage.layer.entry import ROOT, Entry, Kind
from kubeimage.layer.stack import LayerStack
from kubeimage.protocols.layers import LayerStore
from kubeimage.protocols.running import Command, CommandResult, CommandRunner, Mount, Mounter

# What a shell answers for a program that it does not find.
_NOT_FOUND = 127


class RunParts(Protocol):
    """The parts that a RUN needs."""

    @property
    def mounter(self) -> Mounter: ...
    @property
    def runner(self) -> CommandRunner: ...
    @property
    def layers(self) -> LayerStore: ...


def run(
    step: Step,
    command: Command,
    rootfs: LayerStack,
    parts: RunParts,
    output: Callable[[bytes], None],
    *,
    keep_failed: str | None = None,
) -> Made:
    """Run a command on the image below, and keep what it changed; a tree that it failed on goes to ``keep_failed``.

    Raises: CommandError, MountError, SandboxError.
    """
    lent, owners = frozenset[str](), None
    if command.image is not None:
        command, lent = lend(command, rootfs)
        owners = {path: entry.owner for path, entry in rootfs.tree.items() if entry.owner != ROOT}
        command = with_owners(command, owners)
    secrets = Secrets({one.name: one.value for one in command.secrets})
    with parts.mounter.mount(rootfs.diff_ids) as mount:
        result = _run_quietly(command, mount, parts.runner, output, secrets)
        if result.timed_out or result.status:
            if keep_failed is not None:
                mount.keep(keep_failed)
            raise _failure(step, command, result, keep_failed)
        found = without_lent(mount.changes(owners), lent)
        kept = found if owners is not None else [with_owner(entry, rootfs) for entry in found]
        changes = [entry._replace(mtime=step.mtime) for entry in kept]
        if (told := find_disclosed(changes, secrets)) is not None:
            raise _disclosed(*told, step)
        return Made(parts.layers.put(changes), changes) if changes else Made(None)


def _run_quietly(
    command: Command, mount: Mount, runner: CommandRunner, output: Callable[[bytes], None], secrets: Secrets
) -> CommandResult:
    """Run a command, and tell what it prints without the secrets in it."""
    redactor = Redactor(secrets)
    try:
        result = runner.run(command, mount, lambda data: output(redactor.feed(data)))
    finally:
        output(redactor.finish())
    tail = secrets.without(result.tail.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
    return replace(result, tail=tail)


def _disclosed(path: str, name: str, step: Step) -> CommandError:
    return CommandError(
        f"the RUN has left the secret {name} in the image, in {path!r}",
        status=0,
        location=step.location,
        hint="write it to /tmp, or let the program read it where it is shown; this layer is not kept",
    )


def with_owner(entry: Entry, rootfs: LayerStack) -> Entry:
    """A mount shows all as root's; a directory that the RUN may not have touched goes on to be whose it was."""
    below = rootfs.tree.get(entry.path) if entry.kind is Kind.DIRECTORY else None
    return entry if below is None or below.kind is not Kind.DIRECTORY else entry._replace(owner=below.owner)


def _failure(step: Step, command: Command, result: CommandResult, kept: str | None) -> CommandError:
    facts: dict[str, Any] = {"status": result.status, "output": result.tail, "location": step.location}
    look = f"what it left is in {kept}" if kept is not None else None
    if result.timed_out:
        message = f"RUN took longer than {command.timeout:g} s and was stopped"
        return CommandTimeoutError(message, hint=look or "give it more time with --timeout", **facts)
    hint = look or "look at what it left: --keep-failed DIR"
    if result.status == _NOT_FOUND:
        hint = f"a RUN sees no programs outside /usr: --run-path DIR shows it more; {hint}"
    return CommandError(f"RUN {_ending(result.status)}", hint=hint, **facts)


def _ending(status: int) -> str:
    if status > 0:
        return f"ended with exit status {status}"
    import signal

    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was killed by {name}"
