"""The members of an archive: where each one's bytes are, found out from headers alone."""

from __future__ import annotations

import os
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import BinaryIO, NamedTuple

from kubeimage.archive.archivecoding import Uncompressed, coding_of
from kubeimage.archive.bundle import BUNDLE, Bundle, LeftOut
from kubeimage.errors import ArchiveError, LayerError
from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.oci import LARGEST_DOCUMENT, Descriptor
from kubeimage.layer.block import parse_block
from kubeimage.layer.compression import HEAD, PIECE, Rejoined, decompress, detect
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.header import BLOCK
from kubeimage.layer.reader import Limits, iter_contents

_LIMITS = Limits(max_entries=200_000, max_header=1 << 20)
_AGAIN = "get the file again; if it stays so, it is damaged where it came from"


class Place(NamedTuple):
    """Where a file's bytes are. Units: both in bytes."""

    offset: int
    size: int


class MemberFiles(ABC):
    """The files of an archive, by name, be it one file or several parts; folders count for nothing."""

    def __init__(self) -> None:
        self.missed: list[Descriptor] = []
        """Blobs that it leaves out, and that were not there when it was taken in."""
        self.strays: list[Digest] = []
        """Artefacts in it that refer to none of its images."""

    @abstractmethod
    def __contains__(self, name: str) -> bool: ...

    @abstractmethod
    def __iter__(self) -> Iterator[str]: ...

    @abstractmethod
    def size(self, name: str) -> int:
        """Return how many bytes a file has.

        Raises: ArchiveError where there is none.
        """

    @abstractmethod
    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes in pieces.

        Raises: ArchiveError.
        """

    @cached_property
    def bundle(self) -> Bundle | None:
        """What the archive says of itself, None where it is whole alone.

        Raises: ArchiveError.
        """
        return Bundle.from_bytes(self.read(BUNDLE)) if BUNDLE in self else None

    @cached_property
    def left_out(self) -> Mapping[Digest, LeftOut]:
        """What the archive leaves out.

        Raises: ArchiveError.
        """
        return {one.digest: one for one in self.bundle.left_out} if self.bundle is not None else {}

    def read(self, name: str) -> bytes:
        """Return a small file.

        Raises: ArchiveError where it is not there or not small.
        """
        size = self.size(name)
        if size > LARGEST_DOCUMENT:
            raise ArchiveError(f"{name!r} in the archive has {size} bytes; at most {LARGEST_DOCUMENT} make sense")
        return b"".join(self.chunks(name))

    def read_json(self, name: str) -> JsonObject:
        """Return a small file that holds one JSON object.

        Raises: ArchiveError.
        """
        try:
            return canonical.decode(self.read(name))
        except (ValueError, RecursionError) as error:
            raise ArchiveError(f"{name!r} in the archive cannot be understood: {error}", hint=_AGAIN) from error


class Members(MemberFiles):
    """The files of an archive that is one tar."""

    def __init__(self, file: BinaryIO, places: dict[str, Place]) -> None:
        super().__init__()
        self.file = file
        self.places = places

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def size(self, name: str) -> int:
        """Return how many bytes a file has.

        Raises: ArchiveError where there is none.
        """
        return self.place(name).size

    def place(self, name: str) -> Place:
        """Say where a file is.

        Raises: ArchiveError where there is none.
        """
        try:
            return self.places[posixpath.normpath(name)]
        except KeyError:
            raise ArchiveError(f"the archive lacks {name!r}, which it speaks of", hint=_AGAIN) from None

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes in pieces.

        Raises: ArchiveError.
        """
        at, left = self.place(name)
        while left:
            # Somebody else may have read from the file meanwhile.
            with _reading():
                self.file.seek(at)
                piece = self.file.read(min(PIECE, left))
            if not piece:
                raise ArchiveError(f"the archive ends inside {name!r}", hint=_AGAIN)
            at, left = at + len(piece), left - len(piece)
            yield piece


class FolderMembers(MemberFiles):
    """The files of an image layout that is unpacked in a folder."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def __contains__(self, name: str) -> bool:
        return os.path.isfile(self._path(name))

    def __iter__(self) -> Iterator[str]:
        for where, _, names in os.walk(self._folder):
            yield from (os.path.relpath(os.path.join(where, name), self._folder) for name in names)

    def size(self, name: str) -> int:
        """Return how many bytes a file has.

        Raises: ArchiveError where there is none.
        """
        with _reading():
            if name not in self:
                raise ArchiveError(f"the folder lacks {name!r}, which it speaks of", hint=_AGAIN)
            return os.stat(self._path(name)).st_size

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes in pieces.

        Raises: ArchiveError.
        """
        self.size(name)
        with _reading(), open(self._path(name), "rb") as file:
            while piece := file.read(PIECE):
                yield piece

    def _path(self, name: str) -> str:
        # As in a tar, no name leads out: a slash before it makes ".." stay below.
        return self._folder + posixpath.normpath(f"/{name}")


def read_members(file: BinaryIO) -> Members:
    """Find the members of the tar ``file``, which can seek.

    Raises: ArchiveError for what is no tar, is damaged, or tries to be several things at once.
    """
    places: dict[str, Place] = {}
    links: dict[str, str] = {}
    _check_is_tar(file)
    try:
        for entry in _iter_entries(file):
            if entry.kind is Kind.FILE:
                places[entry.path] = Place(file.tell(), entry.size)
            elif entry.kind is Kind.HARDLINK:
                places[entry.path] = places[entry.target]
            elif entry.kind is Kind.SYMLINK:
                links[entry.path] = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), entry.target))
            elif entry.kind is not Kind.DIRECTORY:
                what = "device or deletion" if entry.kind is Kind.WHITEOUT else entry.kind.value
                raise ArchiveError(f"the archive holds {entry.path!r}, a {what}, which no image needs")
    except LayerError as error:
        message = error.message.replace("the layer's tar", "the tar").replace("the layer", "the archive")
        raise ArchiveError(f"this is no archive of images: {message}", hint=error.hint or _AGAIN) from error
    # docker save links layers that two images share; a link to a link is nobody's.
    places |= {name: places[target] for name, target in links.items() if target in places}
    return Members(file, places)


def _check_is_tar(file: BinaryIO) -> None:
    """Distinguish what is no tar at all from a tar that is damaged.

    Raises: ArchiveError.
    """
    with _reading():
        head = file.read(BLOCK)
        file.seek(0)
    try:
        if not head:
            raise ArchiveError("this is no archive of images: the file is empty")
        if head.strip(b"\0"):
            parse_block(head.ljust(BLOCK, b"\0"))
    except LayerError as error:
        raise ArchiveError(
            "this is no archive of images: it is no tar, nor one that is compressed with gzip, zstd, xz or bzip2",
            hint="kubeimage save, skopeo copy … oci-archive: and docker save write archives that can be loaded",
        ) from error


def _iter_entries(file: BinaryIO) -> Iterator[Entry]:
    with _reading():
        yield from (entry for entry, _ in iter_contents(file, limits=_LIMITS))


@contextmanager
def _reading() -> Iterator[None]:
    """Raise what the system says against reading the archive as an ArchiveError."""
    try:
        yield
    except OSError as error:
        raise ArchiveError(f"the archive cannot be read: {error.strerror or error}") from error


def is_compressed(file: BinaryIO) -> bool:
    """Whether the archive, which can seek, is compressed as a whole."""
    with _reading():
        head = file.read(HEAD)
        file.seek(0)
    return detect(head) != "none" or coding_of(head) is not None


def uncompress(file: BinaryIO, scratch: BinaryIO, *, most: int) -> None:
    """Write what the archive holds uncompressed into ``scratch``, and go back to its beginning.

    Units:  ``most`` in bytes of the uncompressed archive.
    Raises: ArchiveError; OSError where it cannot be written.
    """
    source = Rejoined(file)
    coding = coding_of(source.head)
    try:
        scratch.writelines(decompress(source if coding is None else Uncompressed(source, coding), most=most))
    except LayerError as error:
        message = error.message.replace("the layer", "the archive")
        raise ArchiveError(message, hint=error.hint or _AGAIN) from error
    scratch.seek(0)
