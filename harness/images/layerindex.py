"""The layers of an image, and an index of what stands where in their tars.

The index holds where each file's content begins; no content is read before somebody asks for it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from kubeimage.api.backends import Backends
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry
from kubeimage.layer.reader import Content, iter_places
from kubeimage.layer.tree import Tree

Opener = Callable[[], AbstractContextManager[Backends]]


@dataclass(frozen=True)
class BuiltLayer:
    """One layer of a built image.

    Shape: ``number`` counts from 1, lowest first. ``line`` is the instruction's in the Kubefile, None for a layer of
           the base image.
    Units: ``size`` in bytes of the tar.
    """

    number: int
    diff_id: Digest
    size: int
    kind: str
    value: str
    line: int | None = field(default=None, compare=False)

    @property
    def instruction(self) -> str:
        """The instruction that made it, on one line."""
        return f"{self.kind} {self.value}".strip()

    @property
    def origin(self) -> str:
        """Where it is from, for people: ``line 3: COPY a b``, or ``the base image: COPY a b``."""
        where = f"line {self.line}" if self.line is not None else "the base image"
        return f"{where}: {self.instruction}"

    def __str__(self) -> str:
        return f"layer {self.number}: {self.instruction} ({self.diff_id.short}, {self.size} bytes)"


class LayerIndex:
    """What every layer holds, found by reading the tars' headers once."""

    def __init__(self, layers: Sequence[BuiltLayer], opener: Opener) -> None:
        self.layers = layers
        self.opener = opener
        self.entries: list[list[Entry]] = []
        self.tree = Tree()
        self._offsets: list[dict[str, int]] = []
        with opener() as backends:
            for number, layer in enumerate(layers):
                self._add(number, layer, backends)

    def _add(self, number: int, layer: BuiltLayer, backends: Backends) -> None:
        entries: list[Entry] = []
        offsets: dict[str, int] = {}
        with backends.layers.open(layer.diff_id) as tar:
            for entry, offset in iter_places(tar):
                entries.append(entry)
                offsets[entry.path] = offset
        self.entries.append(entries)
        self._offsets.append(offsets)
        self.tree.apply(entries, layer=number)

    def layer_of(self, path: str) -> BuiltLayer:
        """Return the layer that put there what stands at ``path``."""
        return self.layers[self.tree.layer_of(path)]

    @contextmanager
    def open(self, path: str) -> Iterator[io.BufferedReader]:
        """Open the content of a file: what is read of the layer is that, and not a byte beside it."""
        number = self.tree.layer_of(path)
        with self.opener() as backends, backends.layers.open(self.layers[number].diff_id) as tar:
            raw = tar.raw if isinstance(tar, io.BufferedReader) else tar
            raw.seek(self._offsets[number][path])
            yield io.BufferedReader(Content(raw, self.tree[path].size))
