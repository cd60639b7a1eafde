"""How much of an image's layers is worth its place: the tool dive's arithmetic, to the last byte.

Each layer is a tree of its own. Its leaves are looked at, in the order of their names, what is deeper first. Every path
has all its sizes in all layers. The score is the sum of each path's smallest size over the sum of all sizes. Wasted is
the sum of all sizes of the paths that stand in two layers or more.

A whiteout counts as its path: with no size where a file stood, with the size of all below where a directory stood.
What else dive does is kept as it is:

- A directory that only the names of others imply has no size when it is deleted.
- An opaque whiteout deletes nothing: the directory that it stands in is a leaf without a size.
- What stands below a directory that became a file stays there.
- A whiteout of what is not there ends the reading of its layer, and counts as a size of -1 where its path is new.
- The user's bytes are those of all files but the first layer's.

Source: dive 0.13.1, dive/filetree/efficiency.go, file_tree.go, file_node.go; dive/image/analysis.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kubeimage.layer.entry import WHITEOUT_PREFIX, Entry, Kind


class Occurrence(NamedTuple):
    """A path in one layer. Shape: ``layer`` counts from 0. Units: ``size`` in bytes."""

    layer: int
    size: int


class Efficiency(NamedTuple):
    """How well an image's layers use their place.

    Shape: ``score`` is from 0 to 1. ``repeated`` has the paths that stand in more than one layer, with where.
    Units: ``user_bytes`` of the files of all layers but the first.
    """

    score: float
    repeated: Mapping[str, Sequence[Occurrence]]
    user_bytes: int = 0

    @property
    def wasted(self) -> int:
        """The bytes of all that stands in more than one layer, or is deleted again."""
        return sum(one.size for found in self.repeated.values() for one in found)

    @property
    def user_wasted(self) -> float:
        """What is wasted over the user's bytes: no number where both are 0, infinite where only these are."""
        if not self.user_bytes:
            return float("inf") if self.wasted else float("nan")
        return self.wasted / self.user_bytes


class _Node:
    """A path in a tree of dive's."""

    __slots__ = ("children", "is_directory", "size")

    def __init__(self, size: int = 0, *, is_directory: bool = False) -> None:
        self.size = size
        self.is_directory = is_directory
        self.children: dict[str, _Node] = {}

    def add(self, names: Sequence[str], size: int, *, is_directory: bool) -> None:
        """Put something at a path; directories that are only implied have no size and are none."""
        node = self
        for name in names:
            node = node.children.setdefault(name, _Node())
        node.size, node.is_directory = size, is_directory

    def find(self, names: Sequence[str]) -> _Node | None:
        node: _Node | None = self
        for name in names:
            node = node.children.get(name) if node is not None else None
        return node

    def remove(self, names: Sequence[str]) -> None:
        parent = self.find(names[:-1])
        if parent is not None:
            parent.children.pop(names[-1], None)

    def total(self) -> int:
        """Return the size of all below, and its own."""
        todo, found = [self], 0
        while todo:
            node = todo.pop()
            found += node.size
            todo += node.children.values()
        return found

    def walk(self) -> Iterator[tuple[tuple[str, ...], _Node]]:
        """Yield what stands below, in the order of names, what is deeper first."""
        todo: list[tuple[tuple[str, ...], _Node, bool]] = [((), self, False)]
        while todo:
            path, node, is_done = todo.pop()
            if is_done:
                yield path, node
                continue
            if path:
                todo.append((path, node, True))
            todo += [((*path, name), node.children[name], False) for name in sorted(node.children, reverse=True)]


def measure(layers: Sequence[Sequence[Entry]]) -> Efficiency:
    """Measure the entries of each layer, lowest first."""
    sizes: dict[str, list[Occurrence]] = {}
    below = _Node()
    for number, entries in enumerate(layers):
        tree = _tree_of(entries)
        # dive stacks the first layer even below itself.
        _measure_layer(number, tree, below if number else tree, sizes)
        _stack(below, tree)
    least = sum(min((one.size for one in found), default=-1) for found in sizes.values())
    total = sum(one.size for found in sizes.values() for one in found)
    repeated = {path: found for path, found in sizes.items() if len(found) > 1}
    return Efficiency(least / total if total else 1.0, repeated, sum(one.size for each in layers[1:] for one in each))


def _tree_of(entries: Sequence[Entry]) -> _Node:
    tree = _Node()
    for entry in entries:
        names = entry.path.split("/") if entry.path else []
        if entry.kind is Kind.OPAQUE:
            _imply(tree, names)
        elif entry.kind is Kind.WHITEOUT:
            tree.add([*names[:-1], WHITEOUT_PREFIX + names[-1]], 0, is_directory=False)
        else:
            tree.add(names, entry.size, is_directory=entry.kind is Kind.DIRECTORY)
    return tree


def _imply(tree: _Node, names: Sequence[str]) -> None:
    for name in names:
        tree = tree.children.setdefault(name, _Node())


def _measure_layer(number: int, tree: _Node, below: _Node, sizes: dict[str, list[Occurrence]]) -> None:
    for names, node in tree.walk():
        if node.children:
            continue
        path = (*names[:-1], names[-1].removeprefix(WHITEOUT_PREFIX))
        found = sizes.setdefault("/".join(path), [])
        size = node.size
        if names[-1].startswith(WHITEOUT_PREFIX):
            before = below.find(path)
            if before is None:
                return
            size = before.total() if before.is_directory else 0
        found.append(Occurrence(number, size))


def _stack(below: _Node, tree: _Node) -> None:
    for names, node in tree.walk():
        if names[-1].startswith(WHITEOUT_PREFIX):
            below.remove([*names[:-1], names[-1].removeprefix(WHITEOUT_PREFIX)])
        else:
            below.add(names, node.size, is_directory=node.is_directory)
