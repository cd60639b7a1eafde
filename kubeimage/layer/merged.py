"""The files of a stack of layers, with where in which tar each one's content lies.

Headers are read once. No content is read before somebody asks for it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from kubeimage.errors import LayerFormatError
from kubeimage.layer.entry import Entry
from kubeimage.layer.reader import Content, iter_places
from kubeimage.layer.tree import Tree

OpenLayer = Callable[[int], BinaryIO]
"""Opens the tar of a layer, by its number from 0, lowest first; the caller closes it."""


class MergedFiles:
    """What every layer of a stack holds, and what it looks like from above.

    Shape: ``entries`` are those of each layer, lowest first, whiteouts included. ``tree`` is the merged tree.
    Units: ``sizes`` in bytes of each layer's tar.
    """

    def __init__(self, count: int, open_layer: OpenLayer) -> None:
        self.entries: list[list[Entry]] = []
        self.tree = Tree()
        self.sizes: list[int] = []
        self._offsets: list[dict[str, int]] = []
        for number in range(count):
            with open_layer(number) as tar:
                self._add(number, tar)

    def _add(self, number: int, tar: BinaryIO) -> None:
        entries: list[Entry] = []
        offsets: dict[str, int] = {}
        for entry, offset in iter_places(tar):
            entries.append(entry)
            offsets[entry.path] = offset
        self.sizes.append(tar.seek(0, io.SEEK_END))
        self.entries.append(entries)
        self._offsets.append(offsets)
        self.tree.apply(entries, layer=number)

    @contextmanager
    def open(self, path: str, open_layer: OpenLayer) -> Iterator[io.BufferedReader]:
        """Open the content of a file: what is read of an uncompressed layer is that, and not a byte beside it.

        Raises: KeyError where nothing stands; LayerFormatError for an entry that came without its content.
        """
        number = self.tree.layer_of(path)
        if path not in self._offsets[number]:
            raise LayerFormatError(f"{path!r} has no content in its layer")
        with open_layer(number) as tar:
            raw = tar.raw if isinstance(tar, io.BufferedReader) else tar
            raw.seek(self._offsets[number][path])
            yield io.BufferedReader(Content(raw, self.tree[path].size))
