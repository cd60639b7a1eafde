"""A layer written by several processes: the same bytes as those of one, and the same errors.

All sizes are known before a byte is read, so each entry's place in the tar is as well. The tar is cut into ranges.
Workers read, check and hash what is in a range, and write it at its place. The parent follows them range by range: it
reads what they have written, and hashes the whole.

A range that no worker has done, the parent does itself. Nobody else is at it then: else bytes that are hashed already
could become others.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import NamedTuple, Protocol

from kubeimage.errors import KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.layer import workers
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.header import END_OF_ARCHIVE, length_in_tar, render_header
from kubeimage.layer.stored import StoredLayer
from kubeimage.layer.table import DIGEST_SIZE, ContentDigests, EntryTable, Joined, expecting_of
from kubeimage.layer.workers import Workers
from kubeimage.layer.writer import add_file, in_order

_FEWEST = 1000
"""Entries below which starting workers takes longer than what they save."""
_LARGEST = 16 << 20
"""Content from this size on is better read by one process, which reads and hashes in two threads."""
_MOST_RANGES = 250
_SMALLEST_RANGE = 1 << 20
_PIECE = 1 << 20
_BUFFER = 1 << 18


class Place(Protocol):
    """A new and empty file."""

    path: str
    descriptor: int


class _Range(NamedTuple):
    """Entries, and where they stand in the tar. Shape: ``first`` is a number of an entry, ``last`` is behind them."""

    first: int
    last: int
    offset: int
    end: int


def plan(changeset: Sequence[Entry]) -> SharedLayer | None:
    """Return how several processes write ``changeset``.

    None where one is as good, where forking is not safe, and where the changeset is no good: the one tells why.
    """
    is_demanded = workers.demanded() is not None
    count = workers.available() if is_demanded or len(changeset) >= _FEWEST else 0
    if not count:
        return None
    try:
        lengths = _lengths(changeset)
        if not is_demanded and max(lengths) >= _LARGEST:
            return None
        return SharedLayer(changeset, _links(changeset), _cut(lengths), count)
    except (KubeimageError, ValueError, OverflowError):
        return None


def _lengths(changeset: Sequence[Entry]) -> array[int]:
    if isinstance(changeset, EntryTable | Joined):
        return changeset.lengths()
    return array("Q", map(length_in_tar, in_order(changeset)))


class SharedLayer:
    """A changeset, cut into ranges. Shape: ``links`` are its hard links by number, each as its first file is."""

    def __init__(
        self, changeset: Sequence[Entry], links: Mapping[int, Entry], ranges: Sequence[_Range], count: int
    ) -> None:
        self._entries = changeset
        self._links = links
        self._ranges = ranges
        self._count = count

    def write(self, place: Place, watch: Callable[[int], object]) -> StoredLayer:
        """Write the canonical tar to ``place``, and tell ``watch`` how many bytes are written and hashed.

        Raises: as `write_layer`; OSError for ``place``.
        """
        size = self._ranges[-1].end if self._ranges else 0
        with mmap.mmap(-1, max((DIGEST_SIZE + 1) * len(self._entries), 1)) as digests:
            write = partial(self._write_range, place.descriptor, digests)
            with Workers(self._count, len(self._ranges), write, [place.descriptor]) as helpers:
                content = self._follow(place, helpers, write, watch)
            write_all_at(place.descriptor, END_OF_ARCHIVE, size)
            content.update(END_OF_ARCHIVE)
            flags = DIGEST_SIZE * len(self._entries)
            known = ContentDigests(self._entries, digests[:flags], digests[flags : flags + len(self._entries)])
        return StoredLayer(Digest(content.hexdigest()), size + len(END_OF_ARCHIVE), known)

    def _follow(
        self, place: Place, helpers: Workers, write: Callable[[int], None], watch: Callable[[int], object]
    ) -> hashlib._Hash:
        """Hash range by range, as they are written; write those that nobody has written."""
        content = hashlib.sha256()
        buffer = memoryview(bytearray(_PIECE))
        with open(place.path, "rb", buffering=0) as file:
            for number, one in enumerate(self._ranges):
                if not helpers.wait(number):
                    write(number)
                left = one.end - one.offset
                while left:
                    count = file.readinto(buffer[:left])
                    if not count:
                        raise OSError(errno.EIO, "what was written is not there any more")
                    content.update(buffer[:count])
                    left -= count
                watch(one.end)
        return content

    def _write_range(self, descriptor: int, digests: mmap.mmap, number: int) -> None:
        first, last, offset, _ = self._ranges[number]
        writer, expecting = PlaceWriter(descriptor, offset), expecting_of(self._entries)
        flags = DIGEST_SIZE * len(self._entries)
        for index in range(first, last):
            entry = self._links.get(index) or self._entries[index]
            if entry.kind is Kind.FILE:
                opened = expecting.noting(digests, flags + index, entry) if expecting is not None else None
                digests[DIGEST_SIZE * index : DIGEST_SIZE * (index + 1)] = add_file(entry, writer, opened)
            else:
                writer.add(render_header(entry))
                digests[flags + index] = 1
        writer.finish()


def _links(changeset: Sequence[Entry]) -> Mapping[int, Entry]:
    if isinstance(changeset, EntryTable | Joined):
        return {}
    if not any(entry.kind is Kind.HARDLINK for entry in changeset):
        return {}
    return {index: entry for index, entry in enumerate(in_order(changeset)) if entry.kind is Kind.HARDLINK}


def _cut(lengths: array[int]) -> list[_Range]:
    """Cut entries of some lengths in the tar into ranges of about one size."""
    ends = array("Q", accumulate(lengths))
    total = ends[-1] if ends else 0
    size = max(total // _MOST_RANGES, _SMALLEST_RANGE)
    ranges: list[_Range] = []
    first = offset = 0
    while first < len(ends):
        last = min(bisect_left(ends, offset + size, first) + 1, len(ends))
        ranges.append(_Range(first, last, offset, ends[last - 1]))
        first, offset = last, ends[last - 1]
    return ranges


class PlaceWriter:
    """Takes what one process writes, and puts it into a file at its place."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._parts: list[bytes] = []
        self._gathered = 0
        self._buffer: memoryview | None = None

    def add(self, *data: bytes) -> None:
        """Append ``data``."""
        self._parts += data
        self._gathered += sum(map(len, data))
        if self._gathered >= _PIECE:
            self.finish()

    def add_buffer(self, piece: memoryview) -> None:
        """Append what was read into ``buffer()``."""
        self.finish()
        self._write(piece)

    def buffer(self) -> memoryview:
        """Return a buffer that nobody uses any more."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(_BUFFER))
        return self._buffer

    def finish(self) -> None:
        """Write what is left."""
        self._write(b"".join(self._parts))
        self._parts.clear()
        self._gathered = 0

    def _write(self, data: bytes | memoryview) -> None:
        write_all_at(self._descriptor, data, self._offset)
        self._offset += len(data)


def write_all_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset``; the kernel may take it in pieces.

    Raises: OSError.
    """
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
