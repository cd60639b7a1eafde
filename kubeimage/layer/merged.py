"""The files of a stack of layers, with where in which layer each one's content lies.

Headers are read once. No content is read before somebody asks for it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import cast

from kubeimage.layer.entry import Entry
from kubeimage.layer.tree import Tree
from kubeimage.layer.views import LayerView

OpenView = Callable[[int], LayerView]
"""Opens a layer, by its number from 0, lowest first; the caller closes it."""


class MergedFiles:
    """What every layer of a stack holds, and what it looks like from above.

    Shape: ``entries`` are those of each layer, lowest first, whiteouts included. ``tree`` is the merged tree.
    """

    def __init__(self, count: int, open_view: OpenView) -> None:
        self.entries: list[list[Entry]] = []
        self.tree = Tree()
        self._places: list[dict[str, int]] = []
        for number in range(count):
            with closing(open_view(number)) as view:
                self._add(number, view)

    def _add(self, number: int, view: LayerView) -> None:
        entries: list[Entry] = []
        places: dict[str, int] = {}
        for entry, place in view.places():
            entries.append(entry)
            places[entry.path] = place
        self.entries.append(entries)
        self._places.append(places)
        self.tree.apply(entries, layer=number)

    @contextmanager
    def open(self, path: str, open_view: OpenView) -> Iterator[io.BufferedReader]:
        """Open the content of a file: what is read of an uncompressed layer is that, and not a byte beside it.

        Raises: KeyError where nothing stands; as the view does.
        """
        number = self.tree.layer_of(path)
        with closing(open_view(number)) as view:
            content = view.content(self._places[number][path], self.tree[path].size)
            yield io.BufferedReader(cast("io.RawIOBase", content))
