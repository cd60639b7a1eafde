"""What only whole archives are compressed with: xz and bzip2, which layers never are.

Source: moby, which takes both in ``docker load``; the .xz file format, version 1.2; bzip2's manual, "File format".
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable
from typing import NamedTuple

from kubeimage.errors import ArchiveError
from kubeimage.layer.compression import PIECE, Readable

_MEMORY = 256 << 20
"""What ``xz -9`` needs four times over. Units: bytes."""

_Decompressor = lzma.LZMADecompressor | bz2.BZ2Decompressor


class ArchiveCoding(NamedTuple):
    """One way to compress a whole archive. Shape: ``magic`` is what it begins with."""

    name: str
    magic: bytes
    start: Callable[[], _Decompressor]


ARCHIVE_CODINGS = (
    ArchiveCoding("xz", b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)),
    ArchiveCoding("bzip2", b"BZh", bz2.BZ2Decompressor),
)


def coding_of(head: bytes) -> ArchiveCoding | None:
    """Return what an archive that begins with ``head`` is compressed with, of those here."""
    return next((one for one in ARCHIVE_CODINGS if head.startswith(one.magic)), None)


class Uncompressed:
    """What an archive holds, whose source is compressed as ``coding`` says; several streams may follow one another."""

    def __init__(self, source: Readable, coding: ArchiveCoding) -> None:
        self._source = source
        self._coding = coding
        self._stream = coding.start()

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none only at the end.

        Raises: ArchiveError for what is damaged or ends too early.
        """
        while True:
            data = b""
            if self._stream.eof:
                # Between streams of xz there may be zeros.
                data = (self._stream.unused_data or self._source.read(PIECE)).lstrip(b"\0")
                if not data:
                    return b""
                self._stream = self._coding.start()
            elif self._stream.needs_input:
                data = self._source.read(PIECE)
                if not data:
                    raise self._damaged("it ends too early")
            if found := self._decompress(data, size):
                return found

    def _decompress(self, data: bytes, size: int) -> bytes:
        try:
            return self._stream.decompress(data, size)
        except lzma.LZMAError as error:
            raise self._damaged(
                "it needs too much memory" if "limit" in str(error) else "its data are damaged"
            ) from error
        except OSError as error:
            raise self._damaged("its data are damaged") from error

    def _damaged(self, why: str) -> ArchiveError:
        return ArchiveError(
            f"the archive is compressed with {self._coding.name}, and {why}",
            hint="get the file again; if it stays so, it is damaged where it came from",
        )
