"""An archive as it is to be written: its members in order, whole in one file, or in parts of a bounded size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from kubeimage.archive.bundle import BUNDLE, PART, SUMS, Bundle, MemberSize, PartOf
from kubeimage.archive.tarwriting import BLOCK, END, TarFile, damaged
from kubeimage.errors import UsageError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.protocols.transfer import OpenBlob

SMALLEST_PIECE = 4096
_PIECE = 1 << 20
_SUM_LINE = 64 + 2 + 1


class Outgoing(NamedTuple):
    """A member. Shape: ``content`` is a small file's bytes, a blob's descriptor, or None for a folder."""

    name: str
    content: bytes | Descriptor | None

    @property
    def size(self) -> int:
        """Its bytes."""
        if isinstance(self.content, bytes):
            return len(self.content)
        return self.content.size if self.content is not None else 0


class Slice(NamedTuple):
    """What a part has of a member. Shape: ``name`` is the member's, with the place in it where that is not all."""

    member: Outgoing
    name: str
    offset: int
    size: int


def write_whole(tar: TarFile, members: Sequence[Outgoing], open_blob: OpenBlob) -> None:
    """Write all members into one tar.

    Raises: BlobNotFoundError, BlobCorruptError, StoreError.
    """
    for member in members:
        if member.content is None:
            tar.add_folder(member.name)
        elif isinstance(member.content, bytes):
            tar.add(member.name, member.content)
        else:
            with open_blob(member.content) as stream:
                tar.add_blob(member.name, stream, member.content)
    tar.finish()


def in_parts(bundle: Bundle, members: Sequence[Outgoing], limit: int) -> tuple[Bundle, list[list[Slice]]]:
    """Return which part has what of the members, and what each says of the whole; no part is larger than ``limit``.

    Raises: UsageError where so small a part has no room for what each has to say.
    """
    files = [member for member in members if member.content is not None and member.name != BUNDLE]
    sizes = tuple(MemberSize(one.name, one.size) for one in files)
    whole = Bundle(bundle.images, bundle.since, bundle.left_out, sizes, limit)
    room = _Room(limit, whole)
    parts: list[list[Slice]] = [[]]
    for member in files:
        offset = 0
        while offset < member.size or not member.size:
            size = room.for_piece(member, offset)
            if size is None:
                parts.append([])
                room.begin()
                continue
            parts[-1].append(Slice(member, _piece_name(member, offset, size), offset, size))
            offset += size
            if offset == member.size:
                break
    return whole, parts


def _piece_name(member: Outgoing, offset: int, size: int) -> str:
    return member.name if size == member.size else f"{member.name}.at.{offset}"


def parse_piece_name(name: str) -> tuple[str, int]:
    """Return the member that a part has something of, and the place in it where that begins."""
    member, found, offset = name.rpartition(".at.")
    if found and offset.isascii() and offset.isdigit() and len(offset) < _LONGEST_OFFSET:
        return member, int(offset)
    return name, 0


_LONGEST_OFFSET = 19


class _Room:
    """How much of a part is left. Units: bytes."""

    def __init__(self, limit: int, bundle: Bundle) -> None:
        self._limit = limit
        stated = len(bundle.to_bytes())
        # As long as any part's: numbers are counted at their longest.
        said = len(PartOf(Digest.of(b""), 10**6, 10**6).to_bytes())
        self._fixed = _framed(stated) + _framed(said) + END
        self._fixed_sums = 2 * _SUM_LINE + len(BUNDLE) + len(PART)
        least = self._fixed + _framed(self._fixed_sums + _SUM_LINE + 120) + _framed(SMALLEST_PIECE)
        if limit < least:
            raise UsageError(
                f"parts of {limit} bytes have no room for what each says of the whole", hint=f"at least {least} bytes"
            )
        self.begin()

    def begin(self) -> None:
        """Begin another part."""
        self._used, self._sums = self._fixed, self._fixed_sums

    def for_piece(self, member: Outgoing, offset: int) -> int | None:
        """Take room for what is left of a member, or for as much of it as there is; None where a new part is needed."""
        left = member.size - offset
        # A piece's name is longer than its member's.
        line = _SUM_LINE + len(member.name) + len(".at.") + _LONGEST_OFFSET
        # What is written is filled up to whole blocks.
        free = (self._limit - self._used - _framed(self._sums + line) - BLOCK) // BLOCK * BLOCK
        size = min(left, free)
        if size < min(left, SMALLEST_PIECE) or free < 0:
            return None
        self._used += _framed(size)
        self._sums += line
        return size


def _framed(size: int) -> int:
    """Return the bytes that a member takes with its header."""
    return BLOCK + size + -size % BLOCK


class PartWriter:
    """Writes the parts, one after another; each blob is opened once, and verified when all of it is written."""

    def __init__(self, bundle: Bundle, parts: Sequence[Sequence[Slice]], open_blob: OpenBlob) -> None:
        self._stated = bundle.to_bytes()
        self._parts = parts
        self._open_blob = open_blob
        self._blob: tuple[Descriptor, BinaryIO, hashlib._Hash] | None = None

    def write(self, number: int, tar: TarFile) -> None:
        """Write part ``number`` (from 1); they are written in their order.

        Raises: BlobNotFoundError, BlobCorruptError, StoreError.
        """
        part = PartOf(Digest.of(self._stated), number, len(self._parts))
        sums: list[tuple[str, str]] = []
        for name, data in ((PART, part.to_bytes()), (BUNDLE, self._stated)):
            tar.add(name, data)
            sums.append((hashlib.sha256(data).hexdigest(), name))
        sums += [(tar.add_pieces(one.name, one.size, self._pieces(one)), one.name) for one in self._parts[number - 1]]
        tar.add(SUMS, "".join(f"{found}  {name}\n" for found, name in sums).encode())
        tar.finish()

    def close(self) -> None:
        """Drop a blob that was not written to its end."""
        if self._blob is not None:
            self._blob[1].close()

    def _pieces(self, one: Slice) -> Iterator[bytes]:
        content = one.member.content
        if isinstance(content, bytes):
            yield content[one.offset : one.offset + one.size]
        elif content is not None:
            yield from self._blob_pieces(content, one)

    def _blob_pieces(self, blob: Descriptor, one: Slice) -> Iterator[bytes]:
        if one.offset == 0:
            self._blob = blob, self._open_blob(blob), hashlib.sha256()
        assert self._blob is not None
        _, stream, found = self._blob
        left = one.size
        while left:
            piece = stream.read(min(_PIECE, left))
            if not piece:
                raise damaged(blob, found.hexdigest())
            found.update(piece)
            left -= len(piece)
            yield piece
        if one.offset + one.size == blob.size:
            found.update(stream.read(1))
            stream.close()
            self._blob = None
            if found.hexdigest() != blob.digest.hex:
                raise damaged(blob, found.hexdigest())
