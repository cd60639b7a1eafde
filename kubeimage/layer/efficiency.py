"""How much of an image's layers is worth its place, as the tool dive defines it.

For each path that is no directory with something in it, its sizes in all layers are looked at. The score is the sum of
each path's smallest size over the sum of all sizes. Wasted is the sum of all sizes of the paths that stand in more
than one layer. A deletion counts as an occurrence: of no size for a file, of the size of all that stood there for a
directory.

Source: dive's README, "Basic Features" (estimate image efficiency).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.tree import Tree


class Occurrence(NamedTuple):
    """A path in one layer. Shape: ``layer`` counts from 0. Units: ``size`` in bytes."""

    layer: int
    size: int


class Efficiency(NamedTuple):
    """How well an image's layers use their place.

    Shape: ``score`` is from 0 to 1. ``repeated`` has the paths that stand in more than one layer, with where.
    """

    score: float
    repeated: Mapping[str, Sequence[Occurrence]]

    @property
    def wasted(self) -> int:
        """The bytes of all that stands in more than one layer, or is deleted again."""
        return sum(one.size for found in self.repeated.values() for one in found)


def measure(layers: Sequence[Sequence[Entry]]) -> Efficiency:
    """Measure the entries of each layer, lowest first."""
    found: dict[str, list[Occurrence]] = {}
    below = Tree()
    for number, entries in enumerate(layers):
        for path, size in _leaves(entries, below):
            found.setdefault(path, []).append(Occurrence(number, size))
        below.apply(entries, layer=number)
    sizes = [[one.size for one in each] for each in found.values()]
    total, least = sum(map(sum, sizes)), sum(map(min, sizes))
    repeated = {path: each for path, each in found.items() if len(each) > 1}
    return Efficiency(least / total if total else 1.0, repeated)


def _leaves(entries: Sequence[Entry], below: Tree) -> Iterator[tuple[str, int]]:
    parents = {entry.path.rpartition("/")[0] for entry in entries}
    for entry in entries:
        if entry.kind is Kind.WHITEOUT:
            yield entry.path, _size_below(entry.path, below)
        elif entry.kind is Kind.OPAQUE:
            for name in below.children(entry.path):
                path = f"{entry.path}/{name}" if entry.path else name
                yield path, _size_below(path, below)
        elif entry.kind is not Kind.DIRECTORY or entry.path not in parents:
            yield entry.path, entry.size


def _size_below(path: str, tree: Tree) -> int:
    """Sum up what a deleted directory held; a deleted file counts where it stood, not again."""
    todo, total = [path], 0
    while todo:
        here = todo.pop()
        for name in tree.children(here):
            child = f"{here}/{name}"
            total += tree[child].size
            todo.append(child)
    return total
