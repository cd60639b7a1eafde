"""What ADD puts into its layer: files of the context, archives of it unpacked, and what was fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from kubeimage.errors import AdditionError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import ROOT, Entry, Kind, canonical_order
from kubeimage.layer.names import ancestors
from kubeimage.protocols.cachekey import Fields
from kubeimage.protocols.context import Collected, CopyRequest, Remote, RootOpener


def unchecked(request: CopyRequest) -> list[Remote]:
    """Return what is to be fetched and has no checksum."""
    return [remote for remote in request.remotes if remote.checksum is None]


def is_copy(request: CopyRequest, local: Collected) -> bool:
    """Return whether an ADD does what a COPY does: it fetches nothing, and names no file that could be an archive."""
    alone = frozenset(local.alone)
    return not request.remotes and not any(one.kind is Kind.FILE and one.path in alone for one in local.entries)


def content_fields(fetched: Sequence[Entry] | None) -> Fields:
    """Return what a key says of files that had to be fetched to be known."""
    return tuple((f"content {number}", str(_digest(one))) for number, one in enumerate(fetched or (), 1))


def put_together(
    request: CopyRequest, local: Collected, fetched: Sequence[Entry], roots: RootOpener, stack: ExitStack
) -> Collected:
    """Return all that ADD brings; what was unpacked is there as long as ``stack`` is.

    Raises: AdditionError for an archive that cannot be unpacked, or a file of the web that has no name.
    """
    destination = "" if request.destination in (".", "/") else request.destination
    entries: dict[str, Entry] = {}
    is_folder = request.into or len(request.sources) + len(request.remotes) > 1
    for entry in local.entries:
        unpacked = None
        if entry.path in local.alone and entry.kind is Kind.FILE and entry.source is not None:
            unpacked = stack.enter_context(roots.unpack(entry.source, mtime=request.mtime, owner=request.owner or ROOT))
        if unpacked is None:
            entries[entry.path] = entry
            continue
        is_folder = True
        entries.update((one.path, one) for one in _below(destination, unpacked))
    for remote, entry in zip(request.remotes, fetched, strict=True):
        landed = _landed(remote, entry, destination, request, is_folder=is_folder)
        entries[landed.path] = landed
    directories = local.directories or tuple(_folders(destination, is_folder=is_folder))
    if is_folder:
        directories = tuple(_folders(destination, is_folder=True))
    return replace(
        local, entries=canonical_order(entries.values()), directories=directories, owner=request.owner or ROOT
    )


def _below(destination: str, entries: Sequence[Entry]) -> Iterator[Entry]:
    for entry in entries:
        target = _join(destination, entry.target) if entry.kind is Kind.HARDLINK else entry.target
        yield entry._replace(path=_join(destination, entry.path), target=target)


def _landed(remote: Remote, entry: Entry, destination: str, request: CopyRequest, *, is_folder: bool) -> Entry:
    if (is_folder or not destination) and not entry.path:
        raise AdditionError(
            f"{remote.url} ends in no name, so what it is to be called in {request.destination!r} is not known",
            hint="name the file behind it, as in: ADD https://example.org/ bin/tool",
        )
    path = _join(destination, entry.path) if is_folder or not destination else destination
    mode = entry.mode if request.chmod is None else request.chmod
    # A server's word on a time would make each build another.
    return entry._replace(path=path, mode=mode, owner=request.owner or ROOT, mtime=request.mtime or 0)


def _folders(destination: str, *, is_folder: bool) -> Iterator[str]:
    yield from (one for one in ancestors(destination) if one)
    if is_folder and destination:
        yield destination


def _digest(entry: Entry) -> Digest:
    assert entry.digest is not None
    return Digest(entry.digest.hex())


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
