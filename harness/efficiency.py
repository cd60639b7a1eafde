"""How much of an image's layers is worth its place, as the tool dive defines it.

For each path that is no directory with something in it, its sizes in all layers are looked at. The score is the sum of
each path's smallest size over the sum of all sizes. Wasted is the sum of all sizes of the paths that stand in more
than one layer. A deletion counts as an occurrence: of no size for a file, of the size of all that stood there for a
directory.

Source: dive's README, "Basic Features" (estimate image efficiency).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.tree import Tree


class Efficiency(NamedTuple):
    """Shape: ``score`` is from 0 to 1. Units: ``wasted`` in bytes of content."""

    score: float
    wasted: int


def measure(layers: Sequence[Sequence[Entry]]) -> Efficiency:
    """Measure the entries of each layer, lowest first."""
    sizes: dict[str, list[int]] = {}
    below = Tree()
    for number, entries in enumerate(layers):
        for path, size in _leaves(entries, below):
            sizes.setdefault(path, []).append(size)
        below.apply(entries, layer=number)
    total = sum(map(sum, sizes.values()))
    least = sum(map(min, sizes.values()))
    return Efficiency(least / total if total else 1.0, sum(sum(each) for each in sizes.values() if len(each) > 1))


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
