"""What files have in common whose bytes are fetched from anywhere, at the place that is read."""

from __future__ import annotations

import io


class SeekableFile(io.RawIOBase):
    """A file of a known size that can be read at any place: a kind of it fills buffers from ``_at`` on.

    Units: ``size`` in bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at


__all__ = ["SeekableFile"]
