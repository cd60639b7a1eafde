"""The layers of an image, and an index of what stands where in their tars.

The index holds where each file's content begins; no content is read before somebody asks for it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from kubeimage.image.digest import Digest
from kubeimage.layer.merged import MergedFiles
from kubeimage.layer.stack import LayerReader
from kubeimage.layer.views import TarView


class HasLayers(Protocol):
    """What layers are opened from: backends, or an image that is open."""

    @property
    def layers(self) -> LayerReader:
        """Opens a layer's tar by its diff_id."""
        ...


Opener = Callable[[], AbstractContextManager[HasLayers]]


@dataclass(frozen=True)
class BuiltLayer:
    """One layer of an image.

    Shape: ``number`` counts from 1, lowest first. ``line`` is the instruction's in the Kubefile, None for a layer of
           the base image; ``is_built`` is False for an image that was not built here, which has no lines.
    Units: ``size`` in bytes of the tar.
    """

    number: int
    diff_id: Digest
    size: int
    kind: str
    value: str
    line: int | None = field(default=None, compare=False)
    is_built: bool = field(default=True, compare=False, repr=False)

    @property
    def instruction(self) -> str:
        """The instruction that made it, on one line."""
        return f"{self.kind} {self.value}".strip()

    @property
    def origin(self) -> str:
        """Where it is from, for people: ``line 3: COPY a b``, ``the base image: COPY a b``, ``layer 3: COPY a b``."""
        if not self.is_built:
            return f"layer {self.number}: {self.instruction}".rstrip(": ")
        where = f"line {self.line}" if self.line is not None else "the base image"
        return f"{where}: {self.instruction}"

    def __str__(self) -> str:
        return f"layer {self.number}: {self.instruction} ({self.diff_id.short}, {self.size} bytes)"


class _SizedView(TarView):
    """A layer's tar, whose size is noted when it has been looked through."""

    def __init__(self, tar: BinaryIO, sizes: list[int]) -> None:
        super().__init__(tar)
        self._sizes = sizes

    def close(self) -> None:
        self._sizes.append(self.size())
        super().close()


class LayerIndex:
    """What every layer holds, found by reading the tars' headers once.

    ``describe`` makes the layers of the sizes of their tars, which are known then.
    """

    def __init__(
        self, diff_ids: Sequence[Digest], opener: Opener, describe: Callable[[Sequence[int]], Sequence[BuiltLayer]]
    ) -> None:
        self.diff_ids = diff_ids
        self.opener = opener
        with opener() as opened:
            sizes: list[int] = []
            self._files = MergedFiles(
                len(diff_ids), lambda number: _SizedView(opened.layers.open(diff_ids[number]), sizes)
            )
        self.entries = self._files.entries
        self.tree = self._files.tree
        self.layers = describe(sizes)

    def layer_of(self, path: str) -> BuiltLayer:
        """Return the layer that put there what stands at ``path``."""
        return self.layers[self.tree.layer_of(path)]

    @contextmanager
    def open(self, path: str) -> Iterator[io.BufferedReader]:
        """Open the content of a file: what is read of the layer is that, and not a byte beside it."""
        with (
            self.opener() as opened,
            self._files.open(path, lambda number: TarView(opened.layers.open(self.diff_ids[number]))) as stream,
        ):
            yield stream
