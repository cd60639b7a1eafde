"""What a cache key says of a large COPY's files: made while somebody reads it, and kept nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        table = self._table
        assert table.digests is not None
        if table.mtime != 0:
            yield from ((entry.path, describe(entry)) for entry in table)
            return
        prefixes = [prefix for prefix, _ in table.places]
        size = 2 * DIGEST_SIZE
        for first in range(0, len(table), _BATCH):
            last = min(first + _BATCH, len(table))
            digests = table.digests[DIGEST_SIZE * first : DIGEST_SIZE * last].hex()
            rows = ROW.iter_unpack(table.rows[ROW.size * first : ROW.size * last])
            names = zip(table.names[first:last], table.folders[first:last], rows, strict=True)
            for number, (name, folder, row) in enumerate(names):
                mode = row[5]
                if mode & ~_MODES == 0o100000:
                    digest = digests[size * number : size * (number + 1)]
                    yield prefixes[folder] + name, f"file {mode & _MODES:o} {row[0]} {digest}"
                else:
                    yield prefixes[folder] + name, describe(table[first + number])
