"""Layers that carry a table of their contents: eStargz and zstd:chunked. One file is read without the rest.

The table is believed only where the manifest names its digest. It is laid out as the tar that it describes, whose
headers are made of it and whose contents are fetched when they are read: so it is read by the rules for any other tar.

Sources: containerd/stargz-snapshotter, docs/estargz.md; containers/storage, pkg/chunked.
"""

from __future__ import annotations

import hashlib
import io
from base64 import b64decode
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from kubeimage.disk.seekable import SeekableFile
from kubeimage.errors import BlobCorruptError, KubeimageError
from kubeimage.image import canonical
from kubeimage.image.oci import Descriptor
from kubeimage.layer.compression import decompress
from kubeimage.layer.header import BLOCK, END_OF_ARCHIVE

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ESTARGZ_DIGEST = "containerd.io/snapshot/stargz/toc.digest"
ZSTD_POSITION = "io.github.containers.zstd-chunked.manifest-position"
ZSTD_DIGEST = "io.github.containers.zstd-chunked.manifest-checksum"

_FOOTER = 51
_LARGEST_TABLE = 64 << 20
_PIECE = 1 << 20
_BAD = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
_TYPES = {"dir": b"5", "symlink": b"2", "hardlink": b"1", "char": b"3", "block": b"4", "fifo": b"6", "reg": b"0"}

OpenBlob = Callable[[], BinaryIO]


class _Piece(NamedTuple):
    """Some bytes of the tar: given ones, or a chunk of a file.

    Shape: ``digest`` is ``sha256:HEX`` of the chunk, empty where the table names none. ``skip`` bytes stand before it
           in what is uncompressed from ``offset`` on. ``offset`` None is for a chunk of zeros.
    """

    start: int
    size: int
    data: bytes = b""
    is_chunk: bool = False
    offset: int | None = None
    skip: int = 0
    digest: str = ""


def has_table(descriptor: Descriptor) -> bool:
    """Whether a layer's manifest names a table of its contents."""
    annotations = descriptor.annotations
    return ESTARGZ_DIGEST in annotations or (ZSTD_POSITION in annotations and ZSTD_DIGEST in annotations)


def open_table(open_blob: OpenBlob, descriptor: Descriptor) -> BinaryIO | None:
    """Return the tar that a layer's table describes, to be read; None where the layer has none that is understood.

    Raises: BlobCorruptError for a table that is not the one that the manifest names; RegistryError.
    """
    with open_blob() as blob:
        found = _estargz(blob, descriptor) or _zstd_chunked(blob, descriptor)
    if found is None:
        return None
    entries, last = found
    try:
        pieces = list(_pieces(entries, last))
    except (*_BAD, KubeimageError):
        return None
    return cast("BinaryIO", _TableTar(open_blob, descriptor, pieces))


class _Window:
    """The bytes of a blob up to ``end``: a compressor reads ahead, and what it does not need is not to be fetched."""

    def __init__(self, blob: BinaryIO, start: int, end: int) -> None:
        blob.seek(start)
        self._blob = blob
        self._left = end - start

    def read(self, size: int, /) -> bytes:
        data = self._blob.read(min(size, self._left))
        self._left -= len(data)
        return data


def _estargz(blob: BinaryIO, descriptor: Descriptor) -> tuple[list[dict[str, Any]], bytes] | None:
    """Return the entries of an eStargz layer's table, and the tar that holds the table itself."""
    wanted = descriptor.annotations.get(ESTARGZ_DIGEST)
    if wanted is None or descriptor.size <= _FOOTER:
        return None
    blob.seek(descriptor.size - _FOOTER)
    footer = blob.read(_FOOTER)
    if footer[12:14] != b"SG" or footer[32:38] != b"STARGZ":
        return None
    try:
        offset = int(footer[16:32], 16)
        blob.seek(offset)
        tar = b"".join(decompress(io.BytesIO(blob.read(descriptor.size - _FOOTER - offset)), most=_LARGEST_TABLE))
        size = int(tar[124:135], 8)
        table = tar[BLOCK : BLOCK + size]
    except (*_BAD, KubeimageError):
        return None
    return _entries(table, _digest(table), wanted, descriptor), tar


def _zstd_chunked(blob: BinaryIO, descriptor: Descriptor) -> tuple[list[dict[str, Any]], bytes] | None:
    """Return the entries of a zstd:chunked layer's table; the table is no part of its tar."""
    annotations = descriptor.annotations
    if ZSTD_POSITION not in annotations or ZSTD_DIGEST not in annotations:
        return None
    try:
        offset, length, size, kind = map(int, annotations[ZSTD_POSITION].split(":"))
        if kind != 1 or not 0 < length <= _LARGEST_TABLE or size > _LARGEST_TABLE or offset + length > descriptor.size:
            return None
        blob.seek(offset)
        compressed = blob.read(length)
        table = b"".join(decompress(io.BytesIO(compressed), most=_LARGEST_TABLE))
    except (*_BAD, KubeimageError):
        return None
    return _entries(table, _digest(compressed), annotations[ZSTD_DIGEST], descriptor), END_OF_ARCHIVE


def _entries(table: bytes, found: str, wanted: str, descriptor: Descriptor) -> list[dict[str, Any]]:
    if found != wanted:
        raise BlobCorruptError(
            f"the table of the layer {descriptor.digest} is damaged: it is {found}, and the manifest names {wanted}"
        )
    try:
        entries = canonical.decode(table)["entries"]
        return [one for one in entries if isinstance(one, dict)]
    except _BAD as error:
        raise BlobCorruptError(f"the table of the layer {descriptor.digest} cannot be understood") from error


def _pieces(entries: list[dict[str, Any]], last: bytes) -> Iterator[_Piece]:
    """Yield the tar's pieces, in order: a header, the chunks of the file, and what fills its last block."""
    at = 0
    for entry, chunks in _grouped(entries):
        header = _header(entry)
        yield _Piece(at, len(header), header)
        at += len(header)
        size = int(entry.get("size") or 0) if entry["type"] == "reg" else 0
        yield from _chunks(chunks, size, at)
        at += size
        if size % BLOCK:
            yield _Piece(at, BLOCK - size % BLOCK, bytes(BLOCK - size % BLOCK))
            at += BLOCK - size % BLOCK
    yield _Piece(at, len(last), last)


def _grouped(entries: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each entry with its chunks; a file's first chunk stands in its own entry."""
    current: tuple[dict[str, Any], list[dict[str, Any]]] | None = None
    for entry in entries:
        if entry["type"] == "chunk" and current is not None:
            current[1].append(entry)
            continue
        if current is not None:
            yield current
        current = entry, [entry]
    if current is not None:
        yield current


def _chunks(chunks: list[dict[str, Any]], size: int, at: int) -> Iterator[_Piece]:
    starts = [int(one.get("chunkOffset") or 0) for one in chunks]
    if size and starts != sorted(set(starts)):
        raise ValueError("the chunks of a file are not in order")
    for one, start, end in zip(chunks, starts, [*starts[1:], size], strict=True):
        if not size:
            return
        length = end - start
        is_zeros = one.get("chunkType") == "zeros"
        digest = one.get("chunkDigest") or (one.get("digest") if len(chunks) == 1 else "") or ""
        offset = None if is_zeros else int(one["offset"])
        yield _Piece(at + start, length, b"", True, offset, int(one.get("innerOffset") or 0), str(digest))


def _header(entry: dict[str, Any]) -> bytes:
    """Return the tar header that an entry of a table describes."""
    import tarfile

    info = tarfile.TarInfo(str(entry["name"]).rstrip("/"))
    info.type = _TYPES[entry["type"]]
    info.mode = int(entry.get("mode") or 0) & 0o7777
    info.uid, info.gid = int(entry.get("uid") or 0), int(entry.get("gid") or 0)
    info.size = int(entry.get("size") or 0) if entry["type"] == "reg" else 0
    info.mtime = _seconds(entry.get("modtime"))
    info.linkname = str(entry.get("linkName") or "")
    xattrs = {f"SCHILY.xattr.{key}": b64decode(value) for key, value in (entry.get("xattrs") or {}).items()}
    info.pax_headers = {key: value.decode("utf-8", "surrogateescape") for key, value in xattrs.items()}
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _seconds(text: object) -> int:
    from datetime import datetime

    if not text:
        return 0
    # A fraction may have nine digits, which counts for nothing here: times are whole seconds, rounded down.
    head, _, rest = str(text).partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    moment = datetime.fromisoformat(head + zone)
    return int(moment.timestamp())


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class _TableTar(SeekableFile):
    """The tar that a table describes; of its contents only what is read is fetched, whole chunks at a time."""

    def __init__(self, open_blob: OpenBlob, descriptor: Descriptor, pieces: list[_Piece]) -> None:
        super().__init__(pieces[-1].start + pieces[-1].size)
        self._descriptor = descriptor
        self._pieces = pieces
        self._starts = [piece.start for piece in pieces]
        self._offsets = sorted({piece.offset for piece in pieces if piece.offset is not None})
        self._blob = open_blob()
        # The chunk that is open: which one, its bytes to come, those at hand, and where these begin in it.
        self._open: int | None = None
        self._coming: Iterator[bytes] = iter(())
        self._hand, self._hand_at = b"", 0
        self._hash = hashlib.sha256()

    def close(self) -> None:
        self._blob.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        view = view[: max(self._size - self._at, 0)]
        done = 0
        while done < len(view):
            number = bisect_right(self._starts, self._at) - 1
            piece = self._pieces[number]
            data = self._bytes(number, piece, self._at - piece.start, len(view) - done)
            view[done : done + len(data)] = data
            done += len(data)
            self._at += len(data)
        return done

    def _bytes(self, number: int, piece: _Piece, start: int, most: int) -> bytes:
        if not piece.is_chunk:
            return piece.data[start : start + most]
        if piece.offset is None:
            return bytes(min(most, piece.size - start, _PIECE))
        if self._open != number or start < self._hand_at:
            self._begin(number, piece)
        while start >= self._hand_at + len(self._hand):
            self._next(piece)
        inside = start - self._hand_at
        return self._hand[inside : inside + most]

    def _begin(self, number: int, piece: _Piece) -> None:
        assert piece.offset is not None
        # What is compressed on its own ends where the next such thing begins.
        after = bisect_right(self._offsets, piece.offset)
        end = self._offsets[after] if after < len(self._offsets) else self._descriptor.size
        self._coming = _cut(decompress(_Window(self._blob, piece.offset, end)), piece.skip, piece.size)
        self._open, self._hand, self._hand_at = number, b"", 0
        self._hash = hashlib.sha256()

    def _next(self, piece: _Piece) -> None:
        self._hand_at += len(self._hand)
        self._hand = next(self._coming, b"")
        self._hash.update(self._hand)
        is_last = self._hand_at + len(self._hand) == piece.size
        if not self._hand or (is_last and piece.digest and piece.digest != f"sha256:{self._hash.hexdigest()}"):
            self._open = None
            raise BlobCorruptError(
                f"a file in the layer {self._descriptor.digest} is damaged: its bytes are not those of its table"
            )


def _cut(pieces: Iterator[bytes], skip: int, size: int) -> Iterator[bytes]:
    """Yield ``size`` bytes of ``pieces``, without the first ``skip``."""
    for piece in pieces:
        part = piece[skip : skip + size]
        skip = max(skip - len(piece), 0)
        size -= len(part)
        if part:
            yield part
        if not size:
            return
