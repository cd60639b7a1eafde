"""A tar written member by member: files and folders of nobody, from no time."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable
from typing import BinaryIO

from kubeimage.errors import BlobCorruptError, StoreAccessError
from kubeimage.image.oci import Descriptor
from kubeimage.layer.output import Output

BLOCK, END = tarfile.BLOCKSIZE, 2 * tarfile.BLOCKSIZE
"""Bytes of a header, and what everything is padded to; bytes of a tar's end."""

_PIECE = 1 << 20
_REPAIR = "run kubeimage fsck --repair, then build or load the image again"


class TarFile:
    """Appends members to a tar."""

    def __init__(self, write: Callable[[bytes | memoryview], object]) -> None:
        self._write = write

    def add_folder(self, name: str) -> None:
        """Append a folder."""
        member = tarfile.TarInfo(f"{name}/")
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        self._write(member.tobuf(tarfile.PAX_FORMAT))

    def add(self, name: str, data: bytes) -> None:
        """Append a small file."""
        self._begin(name, len(data))
        self._write(data)
        self._pad(len(data))

    def add_blob(self, name: str, stream: BinaryIO, blob: Descriptor) -> None:
        """Append a blob, and make sure of its bytes: a mark on a file only says that nobody wrote to it.

        Raises: BlobCorruptError.
        """
        self._begin(name, blob.size)
        with Output(self._write) as output:
            while piece := _read(stream, blob):
                output.add(piece)
            found = output.finish()
        if (found, output.size) != (blob.digest.hex, blob.size):
            raise damaged(blob, found)
        self._pad(blob.size)

    def add_pieces(self, name: str, size: int, pieces: Iterable[bytes]) -> str:
        """Append a file of ``size`` bytes, and return its sha256 in hex."""
        self._begin(name, size)
        with Output(self._write) as output:
            for piece in pieces:
                output.add(piece)
            found = output.finish()
        assert output.size == size
        self._pad(size)
        return found

    def finish(self) -> None:
        """Append the end."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))

    def _begin(self, name: str, size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o644
        self._write(member.tobuf(tarfile.PAX_FORMAT))

    def _pad(self, size: int) -> None:
        self._write(bytes(-size % tarfile.BLOCKSIZE))


def damaged(blob: Descriptor, found: str) -> BlobCorruptError:
    """Return the error for a blob whose bytes are not what they are called."""
    return BlobCorruptError(f"the blob {blob.digest} is damaged: its bytes are sha256:{found}", hint=_REPAIR)


def _read(stream: BinaryIO, blob: Descriptor) -> bytes:
    try:
        return stream.read(_PIECE)
    except OSError as error:
        raise StoreAccessError(f"cannot read the blob {blob.digest}: {error.strerror or error}") from error
