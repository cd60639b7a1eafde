"""What one COPY does to the image below it, over protocols alone; `builder.running` does a RUN.

Source: the project's design, "Execution".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from kubeimage.builder.described import DescribedTable, describe
from kubeimage.errors import DestinationError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import ROOT, Entry, Kind, Owner, directory, directory_as, with_digest
from kubeimage.layer.names import ancestors
from kubeimage.layer.stack import LayerStack
from kubeimage.layer.table import DIGEST_SIZE, ContentDigests, EntryTable, iter_paths, join, total_size
from kubeimage.protocols.cachekey import CacheKey, Fields
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.layer.splicing import Earlier
    from kubeimage.protocols.context import Collected, CopyRequest
    from kubeimage.protocols.layers import LayerStore, StoredLayer

_WORTH_TELLING = 4 << 20
"""Bytes from which on a COPY tells how far it is."""


@dataclass(frozen=True)
class Made:
    """What a step made: a layer and the entries in it, or nothing."""

    layer: StoredLayer | None
    entries: Sequence[Entry] = ()


@dataclass(frozen=True)
class Copied:
    """What a COPY made, and its collected entries with the digests of what was read.

    Shape: in the layer they begin behind ``offset`` bytes of other entries.
    """

    made: Made
    sources: Sequence[Entry]
    offset: int = 0


def copy_key(parent: Digest, fields: Fields, entries: Iterable[Entry]) -> CacheKey:
    """Make the key of a COPY whose files' digests are known."""
    if isinstance(entries, EntryTable):
        return CacheKey(parent, fields, DescribedTable(entries))
    return CacheKey(parent, fields, tuple([(entry.path, describe(entry)) for entry in entries]))


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
    earlier: Earlier | None = None,
) -> Copied:
    """Write what a COPY brings as a layer; if all of it is there already, make nothing.

    The tar is written in any case: reading the sources once is writing it. ``watch`` is told now and then how many
    bytes are written, and of how many; a small copy is over before anybody could look.
    With ``owners`` a file of another owner is another file. ``earlier`` is what the same COPY has made before.
    Units:  ``mtime`` in seconds, of the directories that the destination implies.
    Raises: DestinationError where the destination runs through a file; ContextError.
    """
    from kubeimage.layer.header import length_in_tar

    parents, landed = _land(collected, rootfs, mtime)
    entries = join(parents, landed)
    if not entries:
        return Copied(Made(None), ())
    total = total_size(landed)
    tell = None if watch is None or total < _WORTH_TELLING else lambda done: watch(min(done, total), total)
    stored = layers.put(entries, watch=tell, earlier=earlier)
    landed_then = _with_digests(landed, stored, len(parents))
    sources = (
        landed_then
        if landed is collected.entries
        else [with_digest(one, there.digest) for one, there in zip(collected.entries, landed_then, strict=True)]
    )
    entries = join(parents, landed_then)
    made = Made(None) if rootfs.holds(entries, owners=owners) else Made(stored, entries)
    return Copied(made, sources, sum(map(length_in_tar, parents)))


def _with_digests(landed: Sequence[Entry], stored: StoredLayer, parents: int) -> Sequence[Entry]:
    """Return what landed behind some ``parents`` with the digests of what was read."""
    if isinstance(landed, EntryTable) and isinstance(stored.digests, ContentDigests):
        found = stored.digests
        packed = found.packed[DIGEST_SIZE * parents :] if parents else found.packed
        return landed.with_digests(packed, found.resting[parents:])
    known = stored.digests.get
    return [with_digest(one, known(one.path)) for one in landed]


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
    written = collected.directories[-1] if collected.directories else ""
    real = rootfs.tree.resolve_directory(written)
    landed = collected.entries if real == written else [_move(entry, written, real) for entry in collected.entries]
    above = [path for path in (*ancestors(real), real) if path]
    own = set(above).intersection(iter_paths(landed)) if above else set[str]()
    implied = [path for path in above if path not in own]
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


def is_same_layer(one: StoredLayer | None, other: StoredLayer | None) -> bool:
    """Return whether two steps made the same, or both nothing."""
    if one is None or other is None:
        return one is other
    return (one.diff_id, one.size) == (other.diff_id, other.size)
