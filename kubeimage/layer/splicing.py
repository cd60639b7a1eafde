"""A layer made of an earlier one: what has not changed is copied from its tar in long runs, and not file by file.

The earlier tar may have rotted since it was written. So it is hashed in the same pass: the bytes that were copied, as
they stand in the new file, and those that were left out, as they stand in the old one. Only where that comes to the
earlier tar's digest is the new layer good.

Up to the first change both tars are the same, and so are their hashes.

Source: copy_file_range(2).
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from typing import BinaryIO, NamedTuple, Self

from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.header import END_OF_ARCHIVE, length_in_tar, render_header
from kubeimage.layer.output import Output
from kubeimage.layer.sharing import Place, PlaceWriter, write_all_at
from kubeimage.layer.stored import StoredLayer
from kubeimage.layer.table import DIGEST_SIZE, ContentDigests, EntryTable, Joined
from kubeimage.layer.writer import add_file

_LEAST = 1 << 20
"""Bytes to copy below which reading the files is as good."""
_AT_ONCE = 16 << 20
_NOT_HERE = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM}


class Run(NamedTuple):
    """Entries that are as they were. Shape: ``now`` is the number of the first, and ``before`` what it was then."""

    now: int
    before: int
    length: int


class Earlier(NamedTuple):
    """A layer that the same COPY has made.

    Shape: ``table`` are its entries, behind ``offset`` bytes of others. ``runs`` are those that are as they were.
    """

    diff_id: Digest
    offset: int
    table: EntryTable
    runs: Sequence[Run]


class RottenLayerError(Exception):
    """The earlier layer is not what its digest says, or not made of what it is said to be."""


class _Copy(NamedTuple):
    """A part of the new tar: entries to be written, and then bytes that stand in the old one.

    Shape: the entries are ``first`` to ``last``; ``skipped`` bytes of the old tar come before the ``copied`` ones.
    """

    first: int
    last: int
    skipped: int
    copied: int


class Splice:
    """What is to be copied and what to be written."""

    def __init__(self, entries: Joined | EntryTable, earlier: Earlier) -> None:
        """Compare lengths, and read nothing.

        Raises: PathEscapeError, LayerFormatError for what no layer may hold.
        """
        self._entries = entries
        self._earlier = earlier
        self._first = entries.first if isinstance(entries, Joined) else ()
        self._table = entries.table if isinstance(entries, Joined) else entries
        self._lengths = self._table.lengths()
        self._parts = list(self._cut())

    @property
    def is_worth_it(self) -> bool:
        """Whether enough is copied."""
        copied = sum(part.copied for part in self._parts)
        return copied >= _LEAST and 2 * copied >= sum(self._lengths)

    def _cut(self) -> list[_Copy]:
        parts: list[_Copy] = []
        now = before = 0
        for run in self._earlier.runs:
            skipped = self._old_length(before, run.before)
            parts.append(_Copy(now, run.now, skipped, sum(self._lengths[run.now : run.now + run.length])))
            now, before = run.now + run.length, run.before + run.length
        parts.append(_Copy(now, len(self._table), self._old_length(before, len(self._earlier.table)), 0))
        return parts

    def _old_length(self, first: int, last: int) -> int:
        return sum(length_in_tar(self._earlier.table[number]) for number in range(first, last))

    def write(self, old: BinaryIO, place: Place, watch: Callable[[int], object]) -> StoredLayer:
        """Write the canonical tar to ``place``, with what ``old``, an unbuffered file, has of it.

        Raises: RottenLayerError; ContextChangedError, UnreadableSourceError for a source; OSError.
        """
        assert self._table.digests is not None
        with open(place.path, "rb", buffering=0) as new, _Pass(old, new, place.descriptor, watch) as both:
            both.write(b"".join(map(render_header, self._first)), self._earlier.offset)
            for part in self._parts:
                self._write_entries(part, both)
                both.skip(part.skipped)
                if part.copied:
                    both.check_next(render_header(self._table[part.last]))
                    both.copy(part.copied)
            both.write(END_OF_ARCHIVE, len(END_OF_ARCHIVE))
            diff_id, found = both.finish()
        if found != self._earlier.diff_id.hex:
            raise RottenLayerError
        # What was read had the digests that the table has already.
        packed = bytes(DIGEST_SIZE * len(self._first)) + self._table.digests if self._first else self._table.digests
        return StoredLayer(Digest(diff_id), both.size, ContentDigests(self._entries, packed))

    def _write_entries(self, part: _Copy, both: _Pass) -> None:
        if part.first == part.last:
            return
        writer = PlaceWriter(both.descriptor, both.size)
        for number in range(part.first, part.last):
            entry: Entry = self._table[number]
            if entry.kind is Kind.FILE:
                add_file(entry, writer)
            else:
                writer.add(render_header(entry))
        writer.finish()
        both.take_in(sum(self._lengths[part.first : part.last]))


class _Pass:
    """One pass over an old tar and a new one, hashing both. Shape: ``size`` are the new one's bytes so far."""

    def __init__(self, old: BinaryIO, new: BinaryIO, descriptor: int, watch: Callable[[int], object]) -> None:
        self.size = 0
        self.descriptor = descriptor
        self._old = old
        self._new = new
        self._watch = watch
        self._position = 0
        self._content = hashlib.sha256()
        self._earlier: Output | None = None
        self._copies = True
        self._spare = memoryview(bytearray(1 << 18))

    def write(self, data: bytes, length: int) -> None:
        """Append ``data``, where the old tar has so many bytes of its own, which may be the same."""
        write_all_at(self.descriptor, data, self.size)
        before = os.pread(self._old.fileno(), length, self._position)
        self._position += length
        if before != data:
            self._part()
        if self._earlier is not None:
            self._earlier.add(before)
        self.take_in(len(data), parts=False)

    def take_in(self, length: int, *, parts: bool = True) -> None:
        """Hash bytes that were written behind the others, and that the old tar has not."""
        if parts:
            self._part()
        end = self.size + length
        while self.size < end:
            piece = self._read(self._new, self.size, self._spare[: end - self.size])
            self._content.update(piece)
            self.size += len(piece)

    def skip(self, length: int) -> None:
        """Hash bytes that the old tar has, and the new one has not."""
        if not length:
            return
        earlier = self._part()
        end = self._position + length
        while self._position < end:
            piece = self._read(self._old, self._position, earlier.buffer()[: end - self._position])
            earlier.add_buffer(piece)
            self._position += len(piece)

    def check_next(self, header: bytes) -> None:
        """Make sure that the old tar goes on with an entry, so that it is made of what it is said to be.

        Raises: RottenLayerError.
        """
        if os.pread(self._old.fileno(), len(header), self._position) != header:
            raise RottenLayerError

    def copy(self, length: int) -> None:
        """Copy bytes of the old tar behind the new one's, and hash them as they stand there."""
        end = self.size + length
        while self.size < end:
            count = self._copy_some(min(end - self.size, _AT_ONCE))
            self._position += count
            reached = self.size + count
            while self.size < reached:
                buffer = self._spare if self._earlier is None else self._earlier.buffer()
                piece = self._read(self._new, self.size, buffer[: reached - self.size])
                if self._earlier is not None:
                    self._earlier.add_buffer(piece)
                self._content.update(piece)
                self.size += len(piece)
            self._watch(self.size)

    def _copy_some(self, length: int) -> int:
        if self._copies:
            try:
                return _some(os.copy_file_range(self._old.fileno(), self.descriptor, length, self._position, self.size))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                self._copies = False
        piece = self._read(self._old, self._position, self._spare[:length])
        write_all_at(self.descriptor, piece, self.size)
        return len(piece)

    def finish(self) -> tuple[str, str]:
        """Return the digests of the new tar and of the old one, in hex."""
        if os.fstat(self._old.fileno()).st_size != self._position:
            raise RottenLayerError
        found = self._content.hexdigest()
        return found, found if self._earlier is None else self._earlier.finish()

    def _part(self) -> Output:
        """From here on the tars differ: hash each for itself, the old one in a thread of its own."""
        if self._earlier is None:
            self._earlier = Output(len, self._content.copy())
        return self._earlier

    def _read(self, file: BinaryIO, position: int, buffer: memoryview) -> memoryview:
        return buffer[: _some(os.preadv(file.fileno(), [buffer], position))]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._earlier is not None:
            self._earlier.stop()


def _some(count: int) -> int:
    """Return how many bytes there were.

    Raises: RottenLayerError where the file has ended.
    """
    if not count:
        raise RottenLayerError
    return count
