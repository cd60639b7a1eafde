"""Where in the image a COPY puts what it found.

    COPY SRC… DEST                        makes
    COPY etc .                            etc/…            an entry named after the source, inside DEST
    COPY helm bin                         bin/helm
    COPY helm bin/helm                    bin/helm         one match, and DEST ends in its name: not doubled
    COPY helm kubectl bin/helm            bin/helm/helm, bin/helm/kubectl       several: DEST is a directory
    COPY . x, COPY dir/. x, COPY dir/* x  x/…              the entries of the directory, one or many
    COPY --exact helm-3 bin/helm          bin/helm         exactly there; a directory's entries go into DEST

Two sources that land on one path: a directory and a directory are merged, the later file wins over the earlier, and a
file and a directory are an error. "Later" goes by the order of the sources, then by name.

Nothing here touches a disk.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from kubeimage.context.names import AUTH_LIST, is_text
from kubeimage.errors import DestinationError
from kubeimage.layer.entry import WHITEOUT_PREFIX, Entry, Kind, canonical_order
from kubeimage.layer.table import EntryTable
from kubeimage.protocols.context import CopyRequest


class Match(NamedTuple):
    """A path of the context that a SRC means.

    Shape: ``contents`` means the directory's entries, not itself. ``listed`` was matched by a bare ``*``: it is one of
           the entries of a directory, and DEST is the directory for them.
    """

    path: str
    is_directory: bool
    contents: bool = False
    listed: bool = False


class Placement(NamedTuple):
    """A path of the context, and where in the image it goes; with ``contents``, where its entries go."""

    source: str
    destination: str
    contents: bool

    def origin(self, path: str) -> str:
        """Return the path in the context of what landed on ``path``."""
        tail = path[len(self.destination) :].lstrip("/")
        return "/".join(part for part in (self.source, tail) if part)


class PlacedTree(NamedTuple):
    """One source, as entries in canonical order at their places.

    Shape: ``inodes`` says of each FILE that has several names (hard links) which file it is, by its path in the image.
    """

    placement: Placement
    entries: Sequence[Entry]
    inodes: Mapping[str, Hashable] = MappingProxyType({})


def resolve_destination(text: str) -> str:
    """Return DEST as a path of the image, ``""`` for its root: ``..`` goes up, all other ways to write it are one.

    Raises: DestinationError.
    """
    if not text or "\0" in text or not is_text(text):
        raise DestinationError(
            f"COPY wants a destination in the image, found {text!r}", hint="write . to mean the image root"
        )
    parts: list[str] = []
    for part in text.split("/"):
        if part == ".." and not parts:
            hint = "a destination is relative to the image root"
            raise DestinationError(f"COPY destination {text!r} leaves the image root", hint=hint)
        if part == "..":
            parts.pop()
        elif part.startswith(WHITEOUT_PREFIX):
            raise DestinationError(
                f"COPY destination {text!r} holds a name that starts with {WHITEOUT_PREFIX!r}, which marks a deletion",
                hint="choose another name",
            )
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def place(matches: Sequence[Match], request: CopyRequest) -> list[Placement]:
    """Say where each of ``matches`` goes.

    Raises: DestinationError.
    """
    destination = resolve_destination(request.destination)
    if request.exact:
        return [_place_exactly(matches, destination, request)]
    name = destination.rpartition("/")[2]
    return [
        Placement(match.path, destination, contents=True)
        if match.contents
        else Placement(match.path, destination, contents=False)
        if len(matches) == 1 and not match.listed and _name(match.path) == name
        else Placement(match.path, _join(destination, _name(match.path)), contents=False)
        for match in matches
    ]


def _place_exactly(matches: Sequence[Match], destination: str, request: CopyRequest) -> Placement:
    if len(matches) != 1:
        found = ", ".join(repr(match.path) for match in matches[:5]) + (" …" if len(matches) > 5 else "")
        raise DestinationError(
            f"COPY --exact places one source at {request.destination!r}, found {len(matches)}: {found}",
            hint="name one source, or leave --exact out to copy all of them into the destination",
        )
    match = matches[0]
    if match.is_directory:
        return Placement(match.path, destination, contents=match.contents or not destination)
    if not destination:
        raise DestinationError(
            f"COPY --exact places {match.path!r} at the image root, which is a directory",
            hint=f"name the file in the image, as in: COPY --exact {match.path} {_name(match.path)}",
        )
    if _name(destination) == AUTH_LIST:
        hint = "choose another name; the builder reads the list from the build context"
        raise DestinationError(f"COPY destination {destination!r}: no layer ever has a file of that name", hint=hint)
    return Placement(match.path, destination, contents=False)


def merge(trees: Sequence[PlacedTree]) -> Sequence[Entry]:
    """Lay ``trees`` over each other, in their order, and link what is one file under several names.

    Raises: DestinationError for a file where a directory is, or the reverse.
    """
    if len(trees) == 1:
        tree = trees[0]
        return _link(tree.entries, dict.fromkeys(tree.inodes, tree))
    owners: dict[str, PlacedTree] = {}
    merged: dict[str, Entry] = {}
    for tree in trees:
        for entry in tree.entries:
            below = merged.setdefault(entry.path, entry)
            if below is not entry:
                if (below.kind is Kind.DIRECTORY) is not (entry.kind is Kind.DIRECTORY):
                    raise _clash(below, owners[entry.path], entry, tree)
                merged[entry.path] = entry
            owners[entry.path] = tree
    return _link(canonical_order(merged.values()), owners)


def directories_above(placements: Iterable[Placement]) -> tuple[str, ...]:
    """Return the directories that ``placements`` need and do not bring, outermost first.

    All sources of one COPY land in one directory, so one placement speaks for all.
    """
    for placement in placements:
        directory = placement.destination if placement.contents else placement.destination.rpartition("/")[0]
        parts = directory.split("/") if directory else []
        return tuple("/".join(parts[: count + 1]) for count in range(len(parts)))
    return ()


def filled_directory(request: CopyRequest, placements: Sequence[Placement], entries: Sequence[Entry]) -> str | None:
    """Return the directory that the entries of a COPY --exact go into, where its source is a directory.

    It is among ``entries``, in case that there is none in the image; one that is there stays as it is.
    """
    if not request.exact or not entries or placements[0].contents:
        return None
    first = entries[0]
    return first.path if first.kind is Kind.DIRECTORY and first.path == placements[0].destination else None


def _link(entries: Sequence[Entry], owners: Mapping[str, PlacedTree]) -> Sequence[Entry]:
    """Make hard links of files that are one file under several names of the context.

    A name that is copied to two places makes two files, whatever other names it has elsewhere.
    """
    names: dict[Hashable, set[str]] = {}
    linked: dict[str, Hashable] = {}
    for path, tree in owners.items():
        inode = tree.inodes.get(path)
        if inode is not None:
            linked[path] = inode
            names.setdefault(inode, set()).add(tree.placement.origin(path))
    if not any(len(origins) > 1 for origins in names.values()):
        return entries if isinstance(entries, EntryTable) else list(entries)
    first: dict[Hashable, str] = {}
    result = []
    for entry in entries:
        inode = linked.get(entry.path)
        if inode is not None and len(names[inode]) > 1:
            target = first.setdefault(inode, entry.path)
            if target != entry.path:
                result.append(Entry(entry.path, Kind.HARDLINK, entry.mode, target=target, mtime=entry.mtime))
                continue
        result.append(entry)
    return result


def _clash(below: Entry, owner: PlacedTree, entry: Entry, tree: PlacedTree) -> DestinationError:
    first, second = owner.placement.origin(below.path), tree.placement.origin(entry.path)
    return DestinationError(
        f"COPY puts the {below.kind.value} {first!r} and the {entry.kind.value} {second!r} both at {entry.path!r}",
        hint="copy one of them somewhere else, with a COPY of its own",
    )


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
