"""A part of a file as a file of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kubeimage.disk.seekable import SeekableFile
from kubeimage.errors import ArchiveError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class FileSlice(SeekableFile):
    """``size`` bytes of an open file, from ``start`` on. The file stays open, and its place as it is."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        super().__init__(size)
        self._descriptor = descriptor
        self._start = start

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")[: max(self._size - self._at, 0)]
        done = 0
        while done < len(view):
            try:
                count = os.preadv(self._descriptor, [view[done:]], self._start + self._at)
            except OSError as error:
                raise ArchiveError(f"the archive cannot be read: {error.strerror or error}") from error
            if not count:
                raise ArchiveError("the archive ends too early", hint="get the file again")
            self._at += count
            done += count
        return done
