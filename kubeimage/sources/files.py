"""The files of a folder or of an archive, by name: what layouts and docker-archives are read from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO, Protocol, cast

from kubeimage.archive.members import Members, is_compressed, read_members, uncompress
from kubeimage.disk.failures import translated
from kubeimage.errors import ArchiveError, BlobNotFoundError, UsageError
from kubeimage.image.oci import LARGEST_DOCUMENT
from kubeimage.sources.slices import FileSlice

_LARGEST_ARCHIVE = 256 << 30


class Files(Protocol):
    """Files by name. Shape: ``where`` is what people call the whole."""

    @property
    def where(self) -> str: ...
    def __contains__(self, name: str) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def open(self, name: str) -> BinaryIO: ...
    def close(self) -> None: ...


def read_small(files: Files, name: str) -> bytes:
    """Return a file that holds a document.

    Raises: BlobNotFoundError where it is not there; ArchiveError where it is not small.
    """
    with files.open(name) as stream:
        data = stream.read(LARGEST_DOCUMENT + 1)
    if len(data) > LARGEST_DOCUMENT:
        raise ArchiveError(f"{files.where}: {name!r} is larger than the {LARGEST_DOCUMENT} bytes that make sense")
    return data


class FolderFiles:
    """The files of a folder."""

    def __init__(self, folder: str) -> None:
        self.where = folder
        if not os.path.isdir(folder):
            what = "is a file" if os.path.exists(folder) else "is not there"
            hint = f"an archive is oci-archive:{folder} or docker-archive:{folder}" if os.path.exists(folder) else None
            raise UsageError(f"the folder {folder!r} {what}", hint=hint)

    def __contains__(self, name: str) -> bool:
        return os.path.isfile(os.path.join(self.where, name))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(os.listdir(self.where)))

    def open(self, name: str) -> BinaryIO:
        """Open a file.

        Raises: BlobNotFoundError; ArchiveError where it cannot be read.
        """
        try:
            return open(os.path.join(self.where, name), "rb")
        except FileNotFoundError:
            raise BlobNotFoundError(f"{self.where} lacks {name!r}, which it speaks of") from None
        except OSError as error:
            raise ArchiveError(f"cannot read {name!r} in {self.where}: {error.strerror or error}") from error

    def close(self) -> None:
        """Do nothing: no file is kept open."""


class ArchiveFiles:
    """The members of an archive: nothing is unpacked, but an archive that is compressed as a whole is uncompressed."""

    def __init__(self, path: str, opened: BinaryIO | None = None) -> None:
        self.where = path
        with ExitStack() as stack:
            file = stack.enter_context(opened if opened is not None else _opened(path))
            if not file.seekable() or is_compressed(file):
                file = stack.enter_context(_uncompressed(file))
            self._members: Members = read_members(file)
            self._file = file
            self._stack = stack.pop_all()

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._members))

    def open(self, name: str) -> BinaryIO:
        """Open a member.

        Raises: BlobNotFoundError.
        """
        if name not in self._members:
            raise BlobNotFoundError(f"the archive {self.where} lacks {name!r}, which it speaks of")
        offset, size = self._members.place(name)
        return cast("BinaryIO", FileSlice(self._file.fileno(), offset, size))

    def close(self) -> None:
        """Close the archive."""
        self._stack.close()


def _opened(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise UsageError(f"there is no file {path!r}") from None
    except IsADirectoryError:
        raise UsageError(f"{path!r} is a folder, not an archive", hint=f"an image layout is oci:{path}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path!r}: {error.strerror}") from error


def _uncompressed(file: BinaryIO) -> BinaryIO:
    """Return the archive uncompressed, in a file without a name, gone as soon as it is closed."""
    scratch = cast("BinaryIO", tempfile.TemporaryFile(prefix="kubeimage-"))  # noqa: SIM115  it is given on
    try:
        with translated("uncompress the archive into", tempfile.gettempdir()):
            uncompress(file, scratch, most=_LARGEST_ARCHIVE)
    except BaseException:
        scratch.close()
        raise
    return scratch
