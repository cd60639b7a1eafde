"""One layer to be looked into: what it holds, and where the content of each file is.

Of most layers that is read from the tar. What has a table of contents of its own can be looked into without it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, Protocol, cast

from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry
from kubeimage.layer.reader import Content, iter_places
from kubeimage.layer.stack import LayerReader


class LayerView(Protocol):
    """A layer that is open, to be looked into."""

    def places(self) -> Iterator[tuple[Entry, int]]:
        """Yield the entries, each with the place of its content; that of a HARDLINK is its first file's.

        Raises: LayerFormatError, PathEscapeError, LayerTooLargeError; whatever reading raises.
        """
        ...

    def content(self, place: int, size: int) -> BinaryIO:
        """Return the content at a place, to be read until the next entry or content is asked for.

        Raises: as ``places``, when it is read.
        """
        ...

    def close(self) -> None:
        """Close what is read."""
        ...


class HasViews(Protocol):
    """Layers that know a better way to be looked into than their tars."""

    def view(self, diff_id: Digest) -> LayerView:
        """Open a layer to be looked into."""
        ...


class TarView:
    """A layer by its tar, which can seek. Its buffer is gone around: no byte beside what is asked for is read."""

    def __init__(self, tar: BinaryIO) -> None:
        self._tar = tar
        self._raw = cast("BinaryIO", tar.raw) if isinstance(tar, io.BufferedReader) else tar

    def places(self) -> Iterator[tuple[Entry, int]]:
        """Yield the entries in the tar's order."""
        self._raw.seek(0)
        return iter_places(self._raw)

    def content(self, place: int, size: int) -> BinaryIO:
        """Return the content at a byte of the tar."""
        self._raw.seek(place)
        return cast("BinaryIO", Content(self._raw, size))

    def size(self) -> int:
        """Return the size of the tar in bytes."""
        return self._raw.seek(0, io.SEEK_END)

    def close(self) -> None:
        """Close the tar."""
        self._tar.close()


def open_view(layers: LayerReader, diff_id: Digest) -> LayerView:
    """Open a layer to be looked into, the best way that there is.

    Raises: as ``layers`` does.
    """
    view = getattr(layers, "view", None)
    if view is None:
        return TarView(layers.open(diff_id))
    found: LayerView = view(diff_id)
    return found
