"""What one COPY or RUN does to the image below it: one function an instruction, over protocols alone.

Source: the project's design, "Execution".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from kubeimage.builder.lending import lend, with_owners, without_lent
from kubeimage.builder.step import Step
from kubeimage.errors import CommandError, CommandTimeoutError, DestinationError
from kubeimage.image.digest import Digest
from kubeimage.layer.disclosure import Redactor, Secrets, find_disclosed
from kubeimage.layer.entry import ROOT, Entry, Kind, Owner, directory, directory_as, with_digest
from kubeimage.layer.names import ancestors
from kubeimage.layer.stack import LayerStack
from kubeimage.protocols.cachekey import CacheKey, Fields
from kubeimage.protocols.context import Collected, CopyRequest
from kubeimage.protocols.layers import LayerStore, StoredLayer
from kubeimage.protocols.running import Command, CommandResult, CommandRunner, Mount, Mounter
from kubeimage.values import dataclass

_WORTH_TELLING = 4 << 20
"""Bytes from which on a COPY tells how far it is."""
# What a shell answers for a program that it does not find.
_NOT_FOUND = 127


@dataclass(frozen=True)
class Made:
    """What a step made: a layer and the entries in it, or nothing."""

    layer: StoredLayer | None
    entries: Sequence[Entry] = ()


@dataclass(frozen=True)
class Copied:
    """What a COPY made, and its collected entries with the digests of what was read."""

    made: Made
    sources: Sequence[Entry]


class RunParts(Protocol):
    """The parts that a RUN needs."""

    @property
    def mounter(self) -> Mounter: ...
    @property
    def runner(self) -> CommandRunner: ...
    @property
    def layers(self) -> LayerStore: ...


def copy_key(parent: Digest, fields: Fields, entries: Iterable[Entry]) -> CacheKey:
    """Make the key of a COPY whose files' digests are known."""
    return CacheKey(parent, fields, tuple([(entry.path, _describe(entry)) for entry in entries]))


def _describe(entry: Entry) -> str:
    kind, times = entry.kind, f" mtime {entry.mtime}" if entry.mtime else ""
    if kind is Kind.FILE:
        assert entry.digest is not None
        return f"file {entry.mode:o}{times} {entry.size} {entry.digest.hex()}"
    target = f" {entry.target}" if entry.target else ""
    return f"{kind.value} {entry.mode:o}{times}{target}"


def placed(request: CopyRequest, rootfs: LayerStack) -> CopyRequest:
    """Return a request that says whether its destination is a directory by now: Docker's rules ask for it."""
    asks = request.by_docker and not request.into
    return replace(request, into=True) if asks and _is_directory(request.destination, rootfs) else request


def _is_directory(path: str, rootfs: LayerStack) -> bool:
    """Return whether a directory stands at ``path``, or a symlink leads from there to one."""
    tree = rootfs.tree
    with suppress(DestinationError):
        found = tree.get(tree.resolve_directory(path))
        return found is not None and found.kind is Kind.DIRECTORY
    return False


def copy(
    collected: Collected,
    rootfs: LayerStack,
    layers: LayerStore,
    *,
    mtime: int = 0,
    owners: bool = False,
    watch: Callable[[int, int], None] | None = None,
) -> Copied:
    """Write what a COPY brings as a layer; if all of it is there already, make nothing.

    The tar is written in any case: reading the sources once is writing it. ``watch`` is told now and then how many
    bytes are written, and of how many; a small copy is over before anybody could look.
    With ``owners`` a file of another owner is another file.
    Units:  ``mtime`` in seconds, of the directories that the destination implies.
    Raises: DestinationError where the destination runs through a file; ContextError.
    """
    parents, landed = _land(collected, rootfs, mtime)
    entries = [*parents, *landed]
    if not entries:
        return Copied(Made(None), ())
    total = sum(entry.size for entry in entries)
    tell = None if watch is None or total < _WORTH_TELLING else lambda done: watch(min(done, total), total)
    stored = layers.put(entries, watch=tell)
    known = stored.digests.get
    landed_then = [with_digest(one, known(one.path)) for one in landed]
    sources = (
        landed_then
        if landed is collected.entries
        else [with_digest(one, there.digest) for one, there in zip(collected.entries, landed_then, strict=True)]
    )
    entries = [*parents, *landed_then]
    return Copied(Made(None) if rootfs.holds(entries, owners=owners) else Made(stored, entries), sources)


def make_directory(path: str, rootfs: LayerStack, layers: LayerStore, *, mtime: int = 0, owner: Owner = ROOT) -> Made:
    """Make a directory of ``owner``'s, and those above it, as a layer; make nothing where it is there already.

    Raises: DestinationError where the way runs through a file.
    """
    real = rootfs.tree.resolve_directory(path)
    missing = [one for one in (*ancestors(real), real) if one and rootfs.tree.get(one) is None]
    if not missing:
        return Made(None)
    entries = [directory(one)._replace(mtime=mtime, owner=owner) for one in missing]
    return Made(layers.put(entries), entries)


def _land(collected: Collected, rootfs: LayerStack, mtime: int) -> tuple[list[Entry], Sequence[Entry]]:
    """Return the directories that the destination implies, and the entries where they land.

    They land behind the symlinks of the layers below.
    """
    if not collected.directories:
        return [], _into_existing(collected.entries, collected, rootfs, "")
    written = collected.directories[-1]
    real = rootfs.tree.resolve_directory(written)
    landed = collected.entries if real == written else [_move(entry, written, real) for entry in collected.entries]
    own = {entry.path for entry in landed}
    implied = [path for path in (*ancestors(real), real) if path and path not in own]
    parents = [_directory(path, collected.owner, rootfs)._replace(mtime=mtime) for path in implied]
    between = {_rebase(path, written, real) for path in collected.between}
    if between:
        landed = [_directory(one.path, one.owner, rootfs) if one.path in between else one for one in landed]
    return parents, _into_existing(landed, collected, rootfs, real)


def _directory(path: str, owner: Owner, rootfs: LayerStack) -> Entry:
    """Return the directory that is there, or a new one of ``owner``'s."""
    below = rootfs.tree.get(path)
    is_there = below is not None and below.kind is Kind.DIRECTORY
    return directory_as(path, below) if is_there else directory(path)._replace(owner=owner)


def _into_existing(landed: Sequence[Entry], collected: Collected, rootfs: LayerStack, real: str) -> Sequence[Entry]:
    """Keep the directory that entries go into as it is below, where it is there already."""
    if collected.into is None:
        return landed
    path = _rebase(collected.into, collected.directories[-1] if collected.directories else "", real)
    below = rootfs.tree.get(path)
    if below is None or below.kind is not Kind.DIRECTORY:
        return landed
    return [directory_as(path, below)._replace(mtime=one.mtime) if one.path == path else one for one in landed]


def _move(entry: Entry, written: str, real: str) -> Entry:
    target = _rebase(entry.target, written, real) if entry.kind is Kind.HARDLINK else entry.target
    return entry._replace(path=_rebase(entry.path, written, real), target=target)


def _rebase(path: str, written: str, real: str) -> str:
    tail = path.removeprefix(written).lstrip("/")
    return f"{real}/{tail}" if real and tail else real or tail


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


def is_same_layer(one: StoredLayer | None, other: StoredLayer | None) -> bool:
    """Return whether two steps made the same, or both nothing."""
    if one is None or other is None:
        return one is other
    return (one.diff_id, one.size) == (other.diff_id, other.size)


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
