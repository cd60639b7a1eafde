"""What the ``--mount``s of a RUN show: files of the context, of stages and images, and folders that stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from kubeimage.builder.step import Step, StepMount
from kubeimage.builder.steps import copy_key
from kubeimage.errors import CommandError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Kind, canonical_order, directory
from kubeimage.layer.names import ancestors
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.context import Collected, RootOpener, SourceCollector
from kubeimage.protocols.running import Command, ShownPath, ShownSecret

SECRET_KIND = "secret"  # noqa: S105  that is what it is called
"""The kind of a mount that shows a secret."""

_SHOWN = "shown"


def run_key(step: Step, parent: Digest, collector: SourceCollector) -> CacheKey:
    """Return the key of a RUN: the files of the context that it is shown are in it.

    Raises: a ContextError for a source that is not there.
    """
    found: list[Entry] = []
    for number, one in enumerate(step.mounts, 1):
        if one.copy is not None and not one.copy.from_image:
            entries = collector.with_digests(collector.collect(one.copy).entries)
            found += [entry._replace(path=f"{number}/{entry.path}") for entry in entries]
    return copy_key(parent, step.cache_fields(), found) if found else CacheKey(parent, step.cache_fields())


def with_secrets(command: Command, mounts: Sequence[StepMount], secrets: Mapping[str, bytes]) -> Command:
    """Return the command with the secrets that it is to find; one that the build was not given is left out.

    Raises: CommandError for one that it cannot do without.
    """
    found: list[ShownSecret] = []
    for one in (one.mount for one in mounts if one.mount.kind == SECRET_KIND):
        value = secrets.get(one.name)
        if value is not None:
            found.append(ShownSecret(one.name, value, one.target, one.variable, one.mode))
        elif one.required:
            raise CommandError(
                f"the RUN needs the secret {one.name}, which the build was not given",
                status=126,
                hint=f"give it with --secret id={one.name},src=FILE, or --secret id={one.name},env=NAME",
            )
    return replace(command, secrets=tuple(found)) if found else command


def with_mounts(
    command: Command, mounts: Sequence[StepMount], collector: SourceCollector, roots: RootOpener, stack: ExitStack
) -> Command:
    """Return the command with what it is shown, which is there as long as ``stack`` is.

    Raises: a ContextError for a source that is not there; StoreFullError, StoreAccessError.
    """
    assert command.image is not None
    files = [
        ShownPath(one.target.lstrip("/"), read_only=True, is_file=True, data=one.value, mode=one.mode)
        for one in command.secrets
        if one.target
    ]
    shown = (
        *(_shown(one, collector, roots, stack) for one in mounts if one.mount.kind != SECRET_KIND),
        *files,
    )
    return replace(command, image=replace(command.image, shown=shown))


def _shown(one: StepMount, collector: SourceCollector, roots: RootOpener, stack: ExitStack) -> ShownPath:
    mount = one.mount
    if one.copy is None and mount.kind == "tmpfs":
        return ShownPath(mount.target, size=mount.size)
    if one.copy is None:
        name = mount.name or mount.target
        folder = stack.enter_context(roots.keep(name, sharing=mount.sharing, mode=mount.mode, owner=mount.owner))
        return ShownPath(mount.target, folder, read_only=mount.read_only)
    taken = one.copy.from_image
    collected = (
        stack.enter_context(roots.open(one.origin or ())).collect(one.copy) if taken else collector.collect(one.copy)
    )
    folder = stack.enter_context(roots.lay_out(_whole(collected)))
    is_file = any(entry.path == _SHOWN and entry.kind is not Kind.DIRECTORY for entry in collected.entries)
    return ShownPath(mount.target, f"{folder}/{_SHOWN}", read_only=mount.read_only, is_file=is_file)


def _whole(collected: Collected) -> list[Entry]:
    """Return entries with the folders that they stand in."""
    known = {entry.path for entry in collected.entries}
    folders = {folder for entry in collected.entries for folder in ancestors(entry.path) if folder} - known
    if not known:
        folders = {_SHOWN}
    return canonical_order([*collected.entries, *map(directory, folders)])
