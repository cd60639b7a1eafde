"""A treemap: rectangles whose areas are the sizes of files, those of a folder side by side.

Source: Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

from kubeimage.pages.page import FileNode

MOST = 2_000
"""More rectangles than that take a browser long to draw, and nobody tells them apart."""


class Rectangle(NamedTuple):
    """A file, or a folder whose content is not shown one by one.

    Units: places and sides in those of the whole; ``size`` in bytes.
    """

    x: float
    y: float
    width: float
    height: float
    path: str
    size: int
    layer: int
    summed: int = 0


def treemap(root: FileNode, width: float, height: float, *, most: int = MOST) -> list[Rectangle]:
    """Return at most ``most`` rectangles that fill ``width`` times ``height``; none for a tree without bytes.

    The largest folders are shown file by file; of the others one rectangle stands for all that is in them, and
    ``summed`` says how many files that are.
    """
    if root.size == 0:
        return []
    opened = _opened(root, most)
    return list(_place(root, "", (0.0, 0.0, width, height), opened))


def _opened(root: FileNode, most: int) -> set[int]:
    """Choose the folders to look into, largest first, as long as there is room for what is in them."""
    order = count()
    waiting = [(-root.size, next(order), root)]
    opened: set[int] = set()
    shown = 1
    while waiting:
        _, _, folder = heapq.heappop(waiting)
        inside = [child for child in folder.children if child.size]
        if shown - 1 + len(inside) > most:
            continue
        shown += len(inside) - 1
        opened.add(id(folder))
        for child in inside:
            if child.children:
                heapq.heappush(waiting, (-child.size, next(order), child))
    return opened


Area = tuple[float, float, float, float]


def _place(node: FileNode, path: str, area: Area, opened: set[int]) -> Iterator[Rectangle]:
    if id(node) not in opened or not node.children:
        summed = node.count if node.children else 0
        yield Rectangle(*area, path, node.size, node.layer, summed)
        return
    children = sorted((child for child in node.children if child.size), key=lambda child: -child.size)
    for child, place in zip(children, _squarified([child.size for child in children], area), strict=True):
        yield from _place(child, f"{path}/{child.name}" if path else child.name, place, opened)


def _squarified(sizes: Sequence[int], area: Area) -> Iterator[Area]:
    """Yield a place for each size, largest first: rows that are as near to squares as they can be."""
    x, y, width, height = area
    left = sum(sizes)
    start = 0
    while start < len(sizes):
        side = min(width, height)
        scale = width * height / left
        end = start + 1
        while end < len(sizes) and _worst(sizes[start : end + 1], side, scale) <= _worst(sizes[start:end], side, scale):
            end += 1
        total = sum(sizes[start:end])
        depth = total * scale / side
        along = 0.0
        for size in sizes[start:end]:
            length = size * scale / depth
            yield (x, y + along, depth, length) if width >= height else (x + along, y, length, depth)
            along += length
        if width >= height:
            x, width = x + depth, width - depth
        else:
            y, height = y + depth, height - depth
        left -= total
        start = end


def _worst(sizes: Sequence[int], side: float, scale: float) -> float:
    """Return how far the worst rectangle of a row is from a square: 1 for a square."""
    total = sum(sizes) * scale
    return max(side * side * sizes[0] * scale / total**2, total**2 / (side * side * sizes[-1] * scale))
