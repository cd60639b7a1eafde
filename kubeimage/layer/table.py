"""Many entries from a disk in little memory: columns of numbers and names, and an `Entry` only while somebody looks.

An `Entry` of its own takes some 700 bytes; here one takes 130 and its name.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import chain, islice
from typing import TYPE_CHECKING, overload

from kubeimage.layer.entry import ROOT, Entry, FileIdentity, Kind, identity_of

if TYPE_CHECKING:
    from mmap import mmap

DIGEST_SIZE = 32
NO_DIGEST = bytes(DIGEST_SIZE)
FEWEST = 1000
"""Entries from which on a table is worth it."""

ROW = struct.Struct("qqqQQq")
"""Size, mtime_ns, ctime_ns, inode and device of a FILE, and its type and mode; of others only mtime in seconds."""

_TYPE = 0o170000
_REGULAR = stat.S_IFREG
_SECOND_NS = 1_000_000_000
_KINDS = {stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.SYMLINK, stat.S_IFIFO: Kind.FIFO}
_new = tuple.__new__


class Expecting:
    """Asks something of each file that is open and about to be read: ``asks`` gets the descriptor and the identity."""

    def __init__(self, asks: Callable[[int, FileIdentity], bool]) -> None:
        self._asks = asks

    def noting(self, found: bytearray | mmap, place: int, entry: Entry) -> Callable[[int], None]:
        """Return what is to be told the descriptor of ``entry``, and puts the answer at ``place``, 0 or 1."""
        asks, identity = self._asks, entry.identity

        def note(descriptor: int) -> None:
            found[place] = identity is not None and asks(descriptor, identity)

        return note


class EntryTable(Sequence[Entry]):
    """Entries in canonical order, of FILEs that lie on a disk, and of DIRECTORYs, SYMLINKs and FIFOs.

    Shape: ``places`` are what stands before a name in the image and on the disk, ``folders`` says which of them holds
           an entry. ``rows`` are packed by `ROW`. ``targets`` are those of symlinks, by number. ``odd`` are identities
           that no row can hold. ``digests`` are 32 bytes an entry; None where nobody has read the files. ``expecting``
           wants to know of each file that is read, and ``resting`` is what it was told.
    Units: ``mtime`` is that of all entries in seconds, None where each has its own.
    """

    def __init__(self, mtime: int | None) -> None:
        self.mtime = mtime
        self.names: list[str] = []
        self.folders = array("I")
        self.places: list[tuple[str, str]] = []
        self.rows = bytearray()
        self.targets: dict[int, str] = {}
        self.odd: dict[int, FileIdentity] = {}
        self.digests: bytes | bytearray | memoryview | None = None
        self.expecting: Expecting | None = None
        self.resting = b""

    def add_place(self, prefix: str, folder: str) -> int:
        """Take note of a folder, by what stands before its names in the image and on the disk; return its number."""
        self.places.append((prefix, folder))
        return len(self.places) - 1

    def add_file(self, name: str, place: int, status: os.stat_result, mode: int) -> None:
        """Append a FILE."""
        try:
            self.rows += ROW.pack(
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
                status.st_ino,
                status.st_dev,
                mode & 0o7777 | _REGULAR,
            )
        except struct.error:
            self.odd[len(self.names)] = identity_of(status)
            self.rows += ROW.pack(status.st_size, 0, 0, 0, 0, mode & 0o7777 | _REGULAR)
        self.names.append(name)
        self.folders.append(place)

    def add_other(self, name: str, place: int, mode: int, mtime: int, target: str | None = None) -> None:
        """Append what is no FILE. Shape: ``mode`` says its type as well."""
        if target is not None:
            self.targets[len(self.names)] = target
        self.rows += ROW.pack(0, mtime, 0, 0, 0, mode)
        self.names.append(name)
        self.folders.append(place)

    def with_digests(self, digests: bytes | bytearray | memoryview, resting: bytes = b"") -> EntryTable:
        """Return the same entries with the digests of their contents, 32 bytes an entry, whatever it is.

        Shape: ``resting`` is what `Expecting` found out when they were read, one byte an entry.
        """
        if len(digests) != DIGEST_SIZE * len(self):
            raise ValueError(f"{len(self)} entries have other digests than {len(digests)} bytes")
        found = copy(self)
        found.digests, found.resting = digests, resting
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | tuple | EntryTable):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return [self._entry(number) for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        return self._entry(number)

    def __iter__(self) -> Iterator[Entry]:
        return map(self._entry, range(len(self)))

    def _entry(self, number: int) -> Entry:
        size, mtime_ns, ctime_ns, inode, device, mode = ROW.unpack_from(self.rows, ROW.size * number)
        prefix, folder = self.places[self.folders[number]]
        name = self.names[number]
        if mode & _TYPE != _REGULAR:
            kind, target = _KINDS[mode & _TYPE], self.targets.get(number, "")
            return Entry(prefix + name, kind, mode & 0o7777, 0, target, mtime_ns)
        identity = _new(FileIdentity, (size, mtime_ns, ctime_ns, inode, device))
        if number in self.odd:
            identity = self.odd[number]
        mtime = identity[1] // _SECOND_NS if self.mtime is None else self.mtime
        start = DIGEST_SIZE * number
        digest = bytes(self.digests[start : start + DIGEST_SIZE]) if self.digests is not None else None
        path = prefix + name
        return _new(Entry, (path, Kind.FILE, mode & 0o7777, size, "", mtime, (), ROOT, folder + name, identity, digest))

    def is_file(self, number: int) -> bool:
        """Return whether an entry is a FILE."""
        mode: int = ROW.unpack_from(self.rows, ROW.size * number)[5]
        return mode & _TYPE == _REGULAR

    def total_size(self) -> int:
        """Return the bytes of all contents."""
        with memoryview(self.rows) as view, view.cast("q") as numbers:
            return sum(numbers[:: ROW.size // 8])

    def lengths(self) -> array[int]:
        """Return how many bytes each entry takes in a tar.

        Raises: PathEscapeError, LayerFormatError for a name or target that no layer may hold.
        """
        from kubeimage.layer.header import BLOCK, MAX_USTAR_NUMBER, length_in_tar

        room = [100 - len(prefix) if prefix.isascii() else -1 for prefix, _ in self.places]
        fits = self.mtime is not None and 0 <= self.mtime <= MAX_USTAR_NUMBER
        found = array("Q")
        entries = zip(self.names, self.folders, ROW.iter_unpack(self.rows), strict=True)
        for number, (name, folder, row) in enumerate(entries):
            size, kind = row[0], row[5] & _TYPE
            is_short = len(name) < room[folder] and name.isascii()
            if kind == _REGULAR and fits and is_short and size <= MAX_USTAR_NUMBER:
                found.append(BLOCK + size + -size % BLOCK)
            elif kind == stat.S_IFDIR and is_short and 0 <= row[1] <= MAX_USTAR_NUMBER:
                found.append(BLOCK)
            else:
                found.append(length_in_tar(self._entry(number)))
        return found

    def fingerprint(self) -> bytes | None:
        """Return a digest of all that is said of the entries without reading them; None if that tells too little."""
        if self.odd:
            return None
        prefixes = [prefix for prefix, _ in self.places]
        targets = [f"{number} {target}" for number, target in self.targets.items()]
        found = hashlib.sha256(f"table {len(self)} {self.mtime} {len(prefixes)} {len(targets)}\0".encode())
        for texts in (prefixes, self.names, targets):
            names = iter(texts)
            while batch := list(islice(names, 1 << 14)):
                found.update("\0".join([*batch, ""]).encode("utf-8", "surrogateescape"))
        found.update(self.folders)
        found.update(self.rows)
        return found.digest()


class Joined(Sequence[Entry]):
    """Some entries before a table, which stand before it in canonical order as well."""

    def __init__(self, first: Sequence[Entry], table: EntryTable) -> None:
        self.first = first
        self.table = table

    def __len__(self) -> int:
        return len(self.first) + len(self.table)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        return self.first[number] if number < len(self.first) else self.table[number - len(self.first)]

    def __iter__(self) -> Iterator[Entry]:
        return chain(self.first, self.table)

    def lengths(self) -> array[int]:
        """Return how many bytes each entry takes in a tar.

        Raises: PathEscapeError, LayerFormatError for a name or target that no layer may hold.
        """
        from kubeimage.layer.header import length_in_tar

        return array("Q", map(length_in_tar, self.first)) + self.table.lengths()


class ContentDigests(Mapping[str, bytes]):
    """The sha256 (32 bytes) of each FILE's content, by path. Shape: ``packed`` has 32 bytes for each entry."""

    def __init__(self, entries: Sequence[Entry], packed: bytes | bytearray | memoryview, resting: bytes = b"") -> None:
        """Take the digests, and what `Expecting` found out, a byte an entry."""
        self.resting = resting
        self._entries = entries
        self._numbers: dict[str, int] | None = None
        self.packed = packed

    def __getitem__(self, path: str) -> bytes:
        start = DIGEST_SIZE * self._known()[path]
        return bytes(self.packed[start : start + DIGEST_SIZE])

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def _known(self) -> dict[str, int]:
        if self._numbers is None:
            self._numbers = {
                entry.path: number for number, entry in enumerate(self._entries) if entry.kind is Kind.FILE
            }
        return self._numbers


def expecting_of(entries: Sequence[Entry]) -> Expecting | None:
    """Return what wants to know of each file that is read."""
    table = entries.table if isinstance(entries, Joined) else entries
    return table.expecting if isinstance(table, EntryTable) else None


def iter_paths(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the path of each entry."""
    if isinstance(entries, Joined):
        return chain((entry.path for entry in entries.first), iter_paths(entries.table))
    if isinstance(entries, EntryTable):
        prefixes = [prefix for prefix, _ in entries.places]
        pairs = zip(entries.folders, entries.names, strict=True)
        return (prefixes[folder] + name for folder, name in pairs)
    return (entry.path for entry in entries)


def compact(table: EntryTable) -> Sequence[Entry]:
    """Return a large table as it is, and a small one as the list that others make shorter work of."""
    return table if len(table) >= FEWEST else list(table)


def join(first: Sequence[Entry], rest: Sequence[Entry]) -> Sequence[Entry]:
    """Return ``first`` and then ``rest``; a table is not taken apart."""
    if isinstance(rest, EntryTable):
        return Joined(first, rest) if first else rest
    return [*first, *rest]


def total_size(entries: Sequence[Entry]) -> int:
    """Return the bytes of all contents."""
    return entries.total_size() if isinstance(entries, EntryTable) else sum(entry.size for entry in entries)
