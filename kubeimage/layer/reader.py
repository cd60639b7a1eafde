"""A layer's tar as entries: our own canonical one, and what other tools write.

Read are ustar, GNU (long names, base-256 numbers) and PAX archives. What two tools could understand in two ways is
refused, and so is what would reach outside the root. Nothing is extracted here.

Names are read as tar readers do: ``/a``, ``./a`` and ``.//a`` are ``a``. The end-of-archive blocks may be missing.

Not kept: names of owners, times below a second, an entry for the root itself (``./``, ``/``). A hard link has the
mode and time of its first file, whatever its own header says; a hard link to a symlink or fifo is given as another of
these. A device node is given as a WHITEOUT: it hides what stands there below, and no tree of ours holds devices.

Source: OCI image-spec v1.1, layer.md; POSIX.1-2017, pax; GNU tar's manual, "Basic Tar Format".
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from kubeimage.errors import LayerFormatError, LayerTooLargeError, StoreAccessError
from kubeimage.layer import pax
from kubeimage.layer.block import LARGEST, LARGEST_OWNER, Block, parse_block
from kubeimage.layer.entry import OPAQUE_MARKER, WHITEOUT_PREFIX, Entry, Kind
from kubeimage.layer.header import BLOCK
from kubeimage.layer.names import check_path, plain_path
from kubeimage.layer.namespace import Namespace
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Xattrs = tuple[tuple[str, bytes], ...]

_ZEROS = bytes(BLOCK)
_PIECE = 1 << 20
_TRUNCATED = "the layer's tar is truncated: it ends inside an entry"
_EXTENSIONS = b"xgLK"
_KINDS = {b"0": Kind.FILE, b"\0": Kind.FILE, b"2": Kind.SYMLINK, b"5": Kind.DIRECTORY, b"6": Kind.FIFO}
# A contiguous file, b"7", is a regular one to all systems that have no other.
_KINDS |= {b"1": Kind.HARDLINK, b"7": Kind.FILE, b"3": Kind.WHITEOUT, b"4": Kind.WHITEOUT}
_HARMLESS_FOR_ALL = {"comment", "atime", "ctime", "uid", "gid", "uname", "gname", "charset", "hdrcharset"}
_DECIMAL = re.compile(rb"(-?[0-9]{1,18})(\.[0-9]*)?")


@dataclass(frozen=True)
class Limits:
    """How much a layer may hold before it is refused.

    Units: ``max_header`` and ``max_bytes`` in bytes: of one extended header, and of all files' content together.
    """

    max_entries: int = 2_000_000
    max_header: int = 4 << 20
    max_bytes: int | None = None

    def check(self, entries: int, content: int) -> None:
        """Refuse a layer that has come to so many entries and bytes of content.

        Raises: LayerTooLargeError.
        """
        if entries > self.max_entries:
            raise LayerTooLargeError(f"the layer has more than the {self.max_entries} entries that are allowed")
        if self.max_bytes is not None and content > self.max_bytes:
            raise LayerTooLargeError(f"the layer's files hold more than the {self.max_bytes} bytes that are allowed")


_DEFAULT_LIMITS = Limits()


class Content(io.RawIOBase):
    """The content of one file inside a layer's tar; of use until the next entry is asked for."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        """Say yes."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, or all that is left.

        Raises: LayerFormatError where the tar ends too early; StoreAccessError where it cannot be read.
        """
        wanted = self._left if size < 0 else min(size, self._left)
        data = _read(self._stream, wanted)
        if len(data) != wanted:
            raise LayerFormatError(_TRUNCATED)
        self._left -= wanted
        return data

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill ``buffer`` with what comes next."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


def iter_entries(stream: BinaryIO, *, limits: Limits = _DEFAULT_LIMITS) -> Iterator[Entry]:
    """Return the entries of a tar in its order, passing over the content of files.

    Shape:  ``stream`` can seek. A directory may come twice, nothing else does.
    Raises: LayerFormatError, PathEscapeError, LayerTooLargeError; StoreAccessError where the tar cannot be read.
    """
    return (entry for entry, _ in iter_places(stream, limits=limits))


def iter_places(stream: BinaryIO, *, limits: Limits = _DEFAULT_LIMITS) -> Iterator[tuple[Entry, int]]:
    """Yield the entries as ``iter_entries`` does, each with the byte of the tar where its content begins.

    Shape:  that of a HARDLINK is its first file's. No byte of a file's content is read: a buffer, which reads ahead,
            is gone around, and stands where it stood when all is done.
    Raises: LayerFormatError, PathEscapeError, LayerTooLargeError.
    """
    raw = stream.raw if isinstance(stream, io.BufferedReader) else None
    if raw is None:
        yield from _Archive(stream, limits)
        return
    start, stood = stream.tell(), raw.tell()
    raw.seek(start)
    try:
        yield from _Archive(raw, limits)
    finally:
        raw.seek(stood)


def iter_contents(stream: BinaryIO, *, limits: Limits = _DEFAULT_LIMITS) -> Iterator[tuple[Entry, Content | None]]:
    """Yield the entries of a tar, with the content of each FILE and HARDLINK (a link's is its first file's).

    Shape:  ``stream`` can seek. A content can be read until the next entry is asked for.
    Raises: LayerFormatError, PathEscapeError, LayerTooLargeError; StoreAccessError where the tar cannot be read.
    """
    archive = _Archive(stream, limits)
    for entry, offset in archive:
        if entry.kind is Kind.FILE:
            yield entry, Content(stream, entry.size)
        elif entry.kind is Kind.HARDLINK:
            stream.seek(offset)
            yield entry, Content(stream, archive.namespace.size_of(entry.target))
        else:
            yield entry, None


class _Archive:
    """Reads a tar once, from where the stream stands: headers, and the extended headers that change them."""

    def __init__(self, stream: BinaryIO, limits: Limits) -> None:
        self.namespace = Namespace()
        self._stream = stream
        self._limits = limits
        self._extended: dict[bytes, bytes] = {}

    def __iter__(self) -> Iterator[tuple[Entry, int]]:
        """Yield each entry, and where its content begins."""
        stream = self._stream
        limits = self._limits
        position = stream.tell()
        entries = total = 0
        while block := self._next_block(position):
            try:
                header = parse_block(block)
            except LayerFormatError as error:
                raise LayerFormatError(f"{error} (at byte {position} of the tar)") from error
            position += BLOCK
            if header.flag in _EXTENSIONS:
                position += self._extend(header)
                continue
            header, xattrs = self._merge(header) if self._extended else (header, ())
            entries += 1
            total += header.size
            limits.check(entries, total)
            found = self._take(header, xattrs, position)
            if found is not None:
                yield found
            position += header.size + -header.size % BLOCK
            stream.seek(position)
        if self._extended:
            raise LayerFormatError("the layer's tar ends with an extended header that belongs to no entry")

    def _next_block(self, position: int) -> bytes:
        """Return the header at ``position``, b"" at the end: two zero blocks, fewer, or none at all."""
        block = _read(self._stream, BLOCK)
        if not block:
            # What was passed over may not have been there.
            if self._stream.seek(0, io.SEEK_END) < position:
                raise LayerFormatError(_TRUNCATED)
            return b""
        if len(block) != BLOCK:
            raise LayerFormatError(_TRUNCATED if position else "this is no tar: it is shorter than one header")
        if block != _ZEROS:
            return block
        self._check_end()
        return b""

    def _read(self, size: int) -> bytes:
        data = _read(self._stream, size)
        if len(data) != size:
            raise LayerFormatError(_TRUNCATED)
        return data

    def _extend(self, header: Block) -> int:
        """Read an extended header, and give how many bytes it takes after its own block."""
        size = header.size
        if size > self._limits.max_header:
            raise LayerTooLargeError(f"an extended tar header takes {size} bytes, {self._limits.max_header} is allowed")
        data = self._read(size + -size % BLOCK)[:size]
        if header.flag == b"g":
            _check_global(data)
        elif header.flag in self._extended:
            raise LayerFormatError("two extended tar headers of one type stand before one entry")
        else:
            self._extended[header.flag] = data
        return size + -size % BLOCK

    def _merge(self, header: Block) -> tuple[Block, Xattrs]:
        """Put what the extended headers say in place of the header's own."""
        records = pax.parse_records(self._extended.get(b"x", b""))
        long_name, long_link = (self._extended.get(flag, b"").removesuffix(b"\0") for flag in (b"L", b"K"))
        self._extended.clear()
        for key in records:
            if key.startswith("GNU.sparse."):
                raise LayerFormatError("the layer holds a sparse file", hint="make the tar without --sparse")
        merged = header._replace(
            name=records.get("path") or long_name or header.name,
            link=records.get("linkpath") or long_link or header.link,
            size=_parse_size(records["size"]) if records.get("size") else header.size,
            mtime=_parse_time(records["mtime"]) if records.get("mtime") else header.mtime,
            owner=(_parse_owner(records, "uid", header.owner[0]), _parse_owner(records, "gid", header.owner[1])),
        )
        prefix = pax.XATTR_PREFIX
        return merged, tuple(sorted((key[len(prefix) :], records[key]) for key in records if key.startswith(prefix)))

    def _take(self, header: Block, xattrs: Xattrs, position: int) -> tuple[Entry, int] | None:
        """Make the entry of a header; None for one that is the root's."""
        raw, flag, mode, size, mtime, link, owner = header
        text = _decode(raw)
        kind = Kind.FILE if flag == b"0" and text[-1:] != "/" else _kind_of(header, text)
        name = plain_path(text) if text else text
        if WHITEOUT_PREFIX in name and name.rpartition("/")[2].startswith(WHITEOUT_PREFIX):
            entry = _whiteout(name, kind, header)
            self.namespace.add_leaf(name, entry, position)
            return entry, position
        if kind is Kind.DIRECTORY and text and not name:
            return None
        check_path(name)
        if kind is Kind.DIRECTORY:
            self.namespace.add_directory(name)
            return Entry(name, kind, mode, 0, "", mtime, xattrs, owner), position
        if kind is Kind.FILE or kind is Kind.FIFO:
            entry = Entry(name, kind, mode, size, "", mtime, xattrs, owner)
        elif kind is Kind.HARDLINK:
            entry, position = self.namespace.resolve(name, plain_path(_decode(link) or "."))
        elif kind is Kind.WHITEOUT:
            entry = Entry(name, kind, 0, mtime=mtime)
        else:
            entry = Entry(name, kind, 0o777, 0, _target(name, link), mtime, xattrs, owner)
        self.namespace.add_leaf(name, entry, position)
        return entry, position

    def _check_end(self) -> None:
        """After one zero block comes another one, or nothing; what tools pad their last record with is zero as well."""
        if _read(self._stream, BLOCK).strip(b"\0"):
            raise LayerFormatError("the layer's tar has a lone zero block between its headers")
        while piece := _read(self._stream, _PIECE):
            if piece.count(0) != len(piece):
                raise LayerFormatError("the layer's tar goes on after its end-of-archive blocks")


def _read(stream: BinaryIO, size: int) -> bytes:
    try:
        return stream.read(size)
    except OSError as error:
        raise StoreAccessError(
            f"cannot read a layer's tar: {error.strerror or error}", hint="look at dmesg, then run kubeimage fsck"
        ) from error


def _kind_of(header: Block, name: str) -> Kind:
    kind = _KINDS.get(header.flag)
    if kind is None:
        _refuse(header, name)
    if kind is not Kind.DIRECTORY and name.endswith("/"):
        # Before ustar a trailing slash was what made a directory.
        if header.flag != b"\0":
            raise LayerFormatError(f"the layer gives {name!r} as a {_word(kind)}, but named as a directory")
        kind = Kind.DIRECTORY
    if header.size and kind is not Kind.FILE:
        raise LayerFormatError(f"the {_word(kind)} {name!r} has a content of {header.size} bytes, which none can have")
    return kind


def _word(kind: Kind) -> str:
    return "device" if kind is Kind.WHITEOUT else kind.value


def _refuse(header: Block, name: str) -> NoReturn:
    what = "a sparse file" if header.flag == b"S" else f"of the unknown type {header.flag!r}"
    raise LayerFormatError(
        f"{name!r} is {what}, which no layer may hold",
        hint="files, directories, symlinks, hard links and fifos are possible; make the tar without --sparse",
    )


def _whiteout(name: str, kind: Kind, header: Block) -> Entry:
    if kind is not Kind.FILE or header.size:
        raise LayerFormatError(f"the whiteout {name!r} is not an empty regular file")
    parent, slash, base = name.rpartition("/")
    if base == OPAQUE_MARKER:
        if parent:
            check_path(parent)
        return Entry(parent, Kind.OPAQUE, 0, mtime=header.mtime)
    path = parent + slash + base.removeprefix(WHITEOUT_PREFIX)
    check_path(path)
    return Entry(path, Kind.WHITEOUT, 0, mtime=header.mtime)


def _target(name: str, link: bytes) -> str:
    target = _decode(link)
    if not target or "\0" in target:
        raise LayerFormatError(f"the symlink {name!r} has a target that no file system takes: {target!r}")
    return target


def _decode(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise LayerFormatError(f"a layer's names are UTF-8, found {name!r}") from error


def _check_global(data: bytes) -> None:
    for key in pax.parse_records(data):
        if key not in _HARMLESS_FOR_ALL:
            raise LayerFormatError(f"the layer's tar has a global PAX header that gives every entry one {key!r}")


def _parse_size(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18 or int(value) > LARGEST:
        raise LayerFormatError(f"a PAX header gives an absurd size: {value[:60]!r}")
    return int(value)


def _parse_owner(records: Mapping[str, bytes], key: str, otherwise: int) -> int:
    value = records.get(key, b"")
    return int(value) if value.isdigit() and len(value) <= 10 and int(value) <= LARGEST_OWNER else otherwise


def _parse_time(value: bytes) -> int:
    """Whole seconds, rounded down as the time of a file is."""
    match = _DECIMAL.fullmatch(value)
    if match is None or abs(int(match[1])) > LARGEST:
        raise LayerFormatError(f"a PAX header gives an absurd time: {value[:60]!r}")
    fraction = (match[2] or b"").strip(b".0")
    return int(match[1]) - bool(fraction and value.startswith(b"-"))
