"""Cuts what is packed into layers that stay what they are when another image comes or goes.

    rootfs cache shared     the blobs that several images have
    rootfs cache NAME       one image: its links, and the blobs that no other image has
    rootfs cache record     ``registry/images.json`` and ``Metadata``

Where there are more images than room, sets of them are merged: those whose repositories' digests have the longest
common prefix. Which sets there are depends on the names alone. So one image more either joins one set, or makes two
others one and stands for itself.

Source: the project's design, "Images travel light, and whole"; decision 083.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Entry, Kind, canonical_order, directory_as
from kubeimage.layer.names import ancestors
from kubeimage.packing.layout import Contents, blob_entry, is_tag, link_entry, past_path
from kubeimage.protocols.cachekey import Fields
from kubeimage.values import dataclass

MOST_LAYERS = 64
"""How many layers all that is packed may take, where an image has room for more."""

SHARED, RECORD, ALL = "shared", "record", "all"
_NAMES_TOLD = 3


@dataclass(frozen=True)
class Piece:
    """One layer to be.

    Shape: ``entries`` are in canonical order; blobs among them have a digest and no source. ``images`` are those that
           the layer has a part of.
    """

    name: str
    images: tuple[Reference, ...]
    entries: tuple[Entry, ...]

    def fields(self) -> Fields:
        """Return path and description of all that the layer holds: equal ones make equal layers."""
        return tuple((entry.path, _describe(entry)) for entry in self.entries)


class _Below(NamedTuple):
    """What the layers below have. Shape: ``images`` are packed there, with what their names led to."""

    tree: Mapping[str, Entry]
    images: Mapping[Reference, Digest]

    def has(self, entry: Entry) -> bool:
        """Whether a file of that size stands there."""
        there = self.tree.get(entry.path)
        return there is not None and there.kind is Kind.FILE and there.size == entry.size


def cut(
    images: Sequence[Contents],
    files: Sequence[Entry],
    *,
    tree: Mapping[str, Entry],
    packed: Mapping[Reference, Digest],
    room: int,
    mtime: int,
) -> list[Piece]:
    """Cut ``images`` and the ``files`` that record them into at most ``room`` layers, and at most ``MOST_LAYERS``.

    What the layers below have is left out: ``tree`` is what stands there, ``packed`` the images among it.
    Units: ``room`` is at least 1; ``mtime`` in seconds since 1970.
    """
    below = _Below(tree, packed)
    shared = _shared_blobs(images)
    own = {one.image: _own_entries(one, shared, below) for one in images}
    common = [entry for digest, size in shared.items() if not below.has(entry := blob_entry(digest, size))]
    layers: list[tuple[str, list[Reference], list[Entry]]] = []
    most = min(room, MOST_LAYERS)
    sets = merge([image for image, entries in own.items() if entries], max(1, most - 2))
    if most > 2 and common:
        layers.append((SHARED, [one.image for one in images if _has_any(one, common)], common))
    layers += [(_name_of(one), one, [entry for image in one for entry in own[image]]) for one in sets]
    if most <= 2 and common:
        layers = [(_name_of([*own]), [*own], [*common, *(entry for one in layers for entry in one[2])])]
    if files:
        layers.append((RECORD, [], [*files]))
    if len(layers) > most:
        layers = [(ALL, [*own], [entry for one in layers for entry in one[2]])]
    return [Piece(name, tuple(members), _lay_out(entries, tree, mtime)) for name, members, entries in layers]


def merge(images: Iterable[Reference], most: int) -> list[list[Reference]]:
    """Put images into at most ``most`` sets; sets and their members are in the order of names.

    Images are leaves of a tree of prefixes, in which one image more is one fork more. The deepest forks are closed
    until it fits.
    """
    order = sorted(images, key=_key_of)
    keys = [_key_of(image) for image in order]
    # Between two neighbours stands the one fork that parts them. Of equally deep ones, its prefix decides.
    forks = [_common_prefix(one, other) for one, other in itertools.pairwise(keys)]
    deepest_first = sorted(forks, key=lambda prefix: (-len(prefix), prefix))
    closed = set(deepest_first[: max(0, len(order) - most)])
    sets: list[list[Reference]] = [[one] for one in order[:1]]
    for image, fork in zip(order[1:], forks, strict=True):
        if fork in closed:
            sets[-1].append(image)
        else:
            sets.append([image])
    return sorted((sorted(one, key=str) for one in sets), key=lambda one: str(one[0]))


def _key_of(image: Reference) -> str:
    """Return the bits that place an image in the tree: its repository's digest, then its whole name's."""
    return _bits(image.repository) + _bits(str(image))


def _bits(text: str) -> str:
    return f"{int(hashlib.sha256(text.encode()).hexdigest(), 16):0256b}"


def _common_prefix(one: str, other: str) -> str:
    length = next((at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))
    return one[:length]


def _shared_blobs(images: Iterable[Contents]) -> dict[Digest, int]:
    """Return the blobs that several images have, with their sizes."""
    sizes = {blob.digest: blob.size for one in images for blob in one.all_blobs}
    users = Counter(digest for one in images for digest in {blob.digest for blob in one.all_blobs})
    return {digest: sizes[digest] for digest, count in users.items() if count > 1}


def _own_entries(one: Contents, shared: Mapping[Digest, int], below: _Below) -> list[Entry]:
    links = [link_entry(path, digest) for path, digest in one.links()]
    if below.images.get(one.image) == one.digest:
        # Packed there under the same name: then its links say the same, but for lists of what refers to it.
        led = {path for path, digest in one.links() if past_path(path, digest) not in below.tree}
        links = [entry for entry in links if not below.has(entry) or (is_tag(entry.path) and entry.path in led)]
    blobs = [blob_entry(blob.digest, blob.size) for blob in one.all_blobs if blob.digest not in shared]
    return [*links, *(entry for entry in blobs if not below.has(entry))]


def _has_any(one: Contents, entries: Iterable[Entry]) -> bool:
    digests = {entry.digest for entry in entries}
    return any(bytes.fromhex(blob.digest.hex) in digests for blob in one.all_blobs)


def _name_of(members: Sequence[Reference]) -> str:
    names = [str(one) for one in members[:_NAMES_TOLD]]
    more = len(members) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _lay_out(entries: Iterable[Entry], tree: Mapping[str, Entry], mtime: int) -> tuple[Entry, ...]:
    made = {entry.path: entry for entry in entries}
    for path in {parent for one in made for parent in ancestors(one)}:
        made[path] = directory_as(path, tree.get(path))
    return tuple(canonical_order(entry._replace(mtime=mtime) for entry in made.values()))


def _describe(entry: Entry) -> str:
    what = f"{entry.kind.value} {entry.mode:o} {entry.owner[0]}:{entry.owner[1]} {entry.mtime}"
    if entry.kind is Kind.FILE:
        return f"{what} {entry.size} {_digest_of(entry)}"
    return " ".join([what, *(f"{name}={value.hex()}" for name, value in entry.xattrs)])


def _digest_of(entry: Entry) -> str:
    if isinstance(entry.source, bytes):
        return hashlib.sha256(entry.source).hexdigest()
    assert entry.digest is not None
    return entry.digest.hex()
