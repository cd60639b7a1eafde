"""A tar written member by member: files and folders of nobody, from no time."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from kubeimage.errors import BlobCorruptError, StoreAccessError, StoreFullError, UsageError
from kubeimage.image.oci import Descriptor
from kubeimage.layer.output import Output

_PIECE = 1 << 20
_REPAIR = "run kubeimage fsck --repair, then build or load the image again"
_FULL = {28, 122}


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
            while piece := stream.read(_PIECE):
                output.add(piece)
            found = output.finish()
        if (found, output.size) != (blob.digest.hex, blob.size):
            raise BlobCorruptError(f"the blob {blob.digest} is damaged: its bytes are sha256:{found}", hint=_REPAIR)
        self._pad(blob.size)

    def finish(self) -> None:
        """Append the end."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))

    def _begin(self, name: str, size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o644
        self._write(member.tobuf(tarfile.PAX_FORMAT))

    def _pad(self, size: int) -> None:
        self._write(bytes(-size % tarfile.BLOCKSIZE))


def check_target(path: str) -> None:
    """Find out before any work whether a file can be written there.

    Raises: UsageError.
    """
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):
        raise UsageError(f"{path!r} is a folder", hint="name the file to write")
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {folder!r} to write {os.path.basename(path)!r} in")


@contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """Give a file to write that takes the place of ``path`` when it is whole; if anything fails, nothing has changed.

    Pipes and devices are written directly.
    Raises: StoreFullError, StoreAccessError.
    """
    with _translated(path):
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as special:
                yield special
            return
        target = os.path.realpath(path)
        handle, unfinished = tempfile.mkstemp(prefix=f".{os.path.basename(target)}.", dir=os.path.dirname(target))
        try:
            with open(handle, "wb") as file:
                yield file
                file.flush()
                os.fchmod(file.fileno(), 0o666 & ~_umask())
                os.fsync(file.fileno())
            os.replace(unfinished, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(unfinished)
            raise


def _umask() -> int:
    """Read the umask without changing it for a moment: other threads make files."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            return next(int(line.split()[1], 8) for line in status if line.startswith("Umask:"))
    except (OSError, StopIteration, ValueError):
        return 0o022


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        kind = StoreFullError if error.errno in _FULL else StoreAccessError
        raise kind(f"cannot write {path!r}: {error.strerror or error}") from error
