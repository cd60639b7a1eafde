"""Files of a stack of layers, each of which can be read at any time, and as often as one likes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from kubeimage.layer.entry import Kind
from kubeimage.layer.reader import Content, iter_places
from kubeimage.layer.stack import LayerReader, LayerStack

_PIECE = 1 << 20


class _OpenLayer(NamedTuple):
    """A layer's tar, and where in it files begin. Only who holds the lock moves in the tar."""

    tar: BinaryIO
    offsets: dict[str, int]
    lock: threading.Lock


class OpenFiles:
    """The files of ``paths``, until it is closed; any number of threads may read.

    The headers of each layer that has some of them are read once, and its tar stays open.
    Raises: BlobNotFoundError, LayerFormatError.
    """

    def __init__(self, store: LayerReader, stack: LayerStack, paths: Iterable[str]) -> None:
        self._tree = stack.tree
        self._cleanup = ExitStack()
        self._layers: dict[int, _OpenLayer] = {}
        wanted: dict[int, set[str]] = {}
        for path in paths:
            if self._tree[path].kind is Kind.FILE:
                wanted.setdefault(self._tree.layer_of(path), set()).add(path)
        with ExitStack() as undo:
            undo.callback(self.close)
            for number, names in wanted.items():
                tar = self._cleanup.enter_context(store.open(stack.layers[number].diff_id))
                offsets = {entry.path: offset for entry, offset in iter_places(tar) if entry.path in names}
                self._layers[number] = _OpenLayer(tar, offsets, threading.Lock())
            undo.pop_all()

    def size(self, path: str) -> int | None:
        """Return how many bytes a file has, None where there is no such file."""
        return self._tree[path].size if self._layer_of(path) is not None else None

    def pieces(self, path: str) -> Iterator[bytes]:
        """Yield a file's content.

        Raises: KeyError where there is no such file; LayerFormatError, StoreAccessError.
        """
        layer = self._layer_of(path)
        if layer is None:
            raise KeyError(path)
        position, left = layer.offsets[path], self._tree[path].size
        while left:
            with layer.lock:
                layer.tar.seek(position)
                piece = Content(layer.tar, left).read(min(left, _PIECE))
            position += len(piece)
            left -= len(piece)
            yield piece

    def close(self) -> None:
        """Close the tars."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _layer_of(self, path: str) -> _OpenLayer | None:
        if path not in self._tree:
            return None
        layer = self._layers.get(self._tree.layer_of(path))
        return layer if layer is not None and path in layer.offsets else None
