"""What a cache key says of a large COPY's files: made while somebody reads it, and kept nowhere."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import overload

from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.table import DIGEST_SIZE, ROW, EntryTable

_MODES = 0o7777
_BATCH = 1 << 13


def describe(entry: Entry) -> str:
    """Return what a key says of an entry beside its path."""
    kind, times = entry.kind, f" mtime {entry.mtime}" if entry.mtime else ""
    if kind is Kind.FILE:
        assert entry.digest is not None
        return f"file {entry.mode:o}{times} {entry.size} {entry.digest.hex()}"
    target = f" {entry.target}" if entry.target else ""
    return f"{kind.value} {entry.mode:o}{times}{target}"


class DescribedTable(Sequence[tuple[str, str]]):
    """The path of each entry of a table, which has its digests, and what `describe` says of it."""

    def __init__(self, table: EntryTable) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, str]]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str] | list[tuple[str, str]]:
        if isinstance(index, slice):
            return [(entry.path, describe(entry)) for entry in self._table[index]]
        entry = self._table[index]
        return entry.path, describe(entry)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        if self._table.mtime != 0:
            return ((entry.path, describe(entry)) for entry in self._table)
        return chain.from_iterable(map(self._describe_some, range(0, len(self._table), _BATCH)))

    def _describe_some(self, first: int) -> list[tuple[str, str]]:
        """Describe entries that have no times, many at once."""
        table, last, size = self._table, min(first + _BATCH, len(self._table)), 2 * DIGEST_SIZE
        assert table.digests is not None
        prefixes = [prefix for prefix, _ in table.places]
        digests = table.digests[DIGEST_SIZE * first : DIGEST_SIZE * last].hex()
        rows = list(ROW.iter_unpack(table.rows[ROW.size * first : ROW.size * last]))
        starts = range(0, size * (last - first), size)
        columns = zip(table.names[first:last], table.folders[first:last], starts, rows, strict=True)
        found = [
            (prefixes[folder] + name, f"file {row[5] & _MODES:o} {row[0]} {digests[start : start + size]}")
            for name, folder, start, row in columns
        ]
        for place, row in enumerate(rows):
            if row[5] & ~_MODES != stat.S_IFREG:
                found[place] = found[place][0], describe(table[first + place])
        return found
