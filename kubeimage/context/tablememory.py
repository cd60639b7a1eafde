"""What is known of the files of large COPYs, one file a COPY: all rows of its table, and the digest of each content.

    head           numbers of entries and bytes, and what times the entries have
    folders, rows  as they are in an `EntryTable`
    digests        32 bytes an entry
    kept           one byte an entry: 1 where its content is known without reading
    texts          names, places and targets, and the layer that the COPY made

A row is kept under the conditions of `kubeimage.context.statindex`: the file was old and at rest before it was read.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import struct
from array import array
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import cast

from kubeimage.context.indexfile import IndexFile
from kubeimage.disk.replacing import Buffer
from kubeimage.image.digest import Digest
from kubeimage.layer import workers
from kubeimage.layer.entry import FileIdentity
from kubeimage.layer.splicing import Earlier, Run
from kubeimage.layer.table import DIGEST_SIZE, ROW, EntryTable, Expecting
from kubeimage.layer.workers import Workers

Digester = Callable[[str, FileIdentity | None], bytes]

_HEAD = struct.Struct("<6Q")
_KIND = "copy"
_MOST_COPIES = 16
"""Large COPYs of one context that are remembered."""
_KEPT = 1
_BLOCK = 512
_ALL_KEPT = bytes([_KEPT]) * _BLOCK
_WORTH_SHARING = 500
_MOST_PIECES = 200


class Remembered:
    """What was remembered of one COPY. Shape: ``layer`` is what it made, and where in it the entries begin."""

    def __init__(self, body: memoryview, folder: str) -> None:
        """Read what `_pack` wrote, for the context ``folder``.

        Raises: ValueError, struct.error for anything else.
        """
        sizes = _HEAD.unpack_from(body)
        count = sizes[0]
        ends = [_HEAD.size]
        for size in (4 * count, ROW.size * count, DIGEST_SIZE * count, count, *sizes[1:6]):
            ends.append(ends[-1] + size)
        if ends[-1] != len(body):
            raise ValueError("what is remembered of a COPY is cut off")
        folders, rows, digests, self.kept, *texts = (body[first:last] for first, last in pairwise(ends))
        names, places, targets, mtime, layer = (str(text, "utf-8") for text in texts)
        self.table = EntryTable(None if mtime == "None" else int(mtime))
        # It is only read.
        self.table.rows, self.table.digests = cast("bytearray", rows), digests
        self.table.folders = array("I", bytes(folders))
        self.table.names = names.split("\0") if count else []
        parts = places.split("\0") if places else []
        self.table.places = [(prefix, folder + tail) for prefix, tail in zip(parts[::2], parts[1::2], strict=True)]
        self.table.targets = _parse_targets(targets)
        diff_id, _, offset = layer.partition(" ")
        self.layer = (Digest(diff_id), int(offset)) if layer else None
        if len(self.table) != count or any(one >= len(parts) // 2 for one in self.table.folders):
            raise ValueError("what is remembered of a COPY does not fit together")

    def is_of(self, table: EntryTable) -> bool:
        """Return whether ``table`` has the same entries with the same contents."""
        old = self.table
        return (
            old.mtime == table.mtime
            and old.names == table.names
            and old.folders == table.folders
            and old.places == table.places
            and old.targets == table.targets
            and old.rows == table.rows
            and old.digests == table.digests
            and not table.odd
        )

    def runs(self, table: EntryTable) -> list[Run]:
        """Return the entries of ``table`` that are as they were, and known without reading; in order."""
        old = self.table
        if old.mtime != table.mtime:
            return []
        then = {place: number for number, place in enumerate(old.places)}
        places = [then.get(place, -1) for place in table.places]
        found = _Runs()
        now = before = 0
        size, rows, old_rows = ROW.size, memoryview(table.rows), memoryview(old.rows)
        is_alike = places == list(range(len(old.places))) and table.targets == old.targets and not table.odd
        while now < len(table.names) and before < len(old.names):
            if is_alike and now == before and self._is_same_block(table, now):
                found.add(now, before, _BLOCK)
                now, before = now + _BLOCK, before + _BLOCK
                continue
            if places[table.folders[now]] != old.folders[before] or table.names[now] != old.names[before]:
                if _key(old, before) < _key(table, now):
                    before += 1
                else:
                    now += 1
                continue
            if (
                self.kept[before]
                and rows[now * size : (now + 1) * size] == old_rows[before * size : (before + 1) * size]
                and table.targets.get(now) == old.targets.get(before)
                and now not in table.odd
            ):
                found.add(now, before)
            now, before = now + 1, before + 1
        return found.runs

    def _is_same_block(self, table: EntryTable, first: int) -> bool:
        """Compare many entries at once."""
        old, last = self.table, first + _BLOCK
        block = slice(first * ROW.size, last * ROW.size)
        return (
            self.kept[first:last] == _ALL_KEPT
            and old.names[first:last] == table.names[first:last]
            and old.folders[first:last] == table.folders[first:last]
            and old.rows[block] == table.rows[block]
        )


class _Runs:
    """Pairs of numbers, put together where they follow each other."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._next = (-1, -1)

    def add(self, now: int, before: int, count: int = 1) -> None:
        if self._next == (now, before):
            first, then, length = self.runs[-1]
            self.runs[-1] = Run(first, then, length + count)
        else:
            self.runs.append(Run(now, before, count))
        self._next = (now + count, before + count)


def _key(table: EntryTable, number: int) -> str:
    return (table.places[table.folders[number]][0] + table.names[number]).replace("/", "\0")


def _parse_targets(text: str) -> dict[int, str]:
    parts = text.split("\0") if text else []
    return {int(number): target for number, target in zip(parts[::2], parts[1::2], strict=True)}


class TableMemory:
    """Remembers the tables of one context's large COPYs, from one build to the next."""

    def __init__(
        self,
        open_file: Callable[[str], IndexFile],
        folder: str,
        is_settled: Callable[[FileIdentity], bool],
        is_at_rest: Callable[[str, FileIdentity], bool],
        rests: Callable[[int], bool],
    ) -> None:
        """Remember what is in ``folder``, which ends with a slash; ``open_file`` opens the file of a name."""
        self._open_file = open_file
        self._folder = folder
        self._is_settled = is_settled
        self._is_at_rest = is_at_rest
        self._rests = rests
        self._before: dict[str, Remembered | None] = {}
        self._kept: dict[str, bytearray] = {}
        self._news: dict[str, EntryTable] = {}
        self._runs: dict[str, list[Run]] = {}
        self._layers: dict[str, tuple[Digest, int]] = {}

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._news)

    def with_digests(self, table: EntryTable, digest_of: Digester) -> EntryTable:
        """Return ``table`` with all digests, reading only what is not known from before.

        Raises: what ``digest_of`` raises.
        """
        known = self._recall(table)
        runs = known.runs(table) if known is not None else []
        kept, digests = bytearray(len(table)), bytearray(DIGEST_SIZE * len(table))
        unknown, start = array("I"), 0
        for now, before, length in runs:
            assert known is not None
            assert known.table.digests is not None
            digests[DIGEST_SIZE * now : DIGEST_SIZE * (now + length)] = known.table.digests[
                DIGEST_SIZE * before : DIGEST_SIZE * (before + length)
            ]
            kept[now : now + length] = bytes([_KEPT]) * length
            unknown.extend(range(start, now))
            start = now + length
        unknown.extend(range(start, len(table)))
        _Look(self, table, unknown, digest_of).into(kept, digests)
        found = table.with_digests(digests)
        name = _name(table, self._folder)
        self._forget(name)
        if unknown or len(runs) != 1 or known is None or len(known.table) != len(table):
            self._news[name] = found
        self._kept[name], self._runs[name] = kept, runs
        return found

    def earlier(self, table: EntryTable) -> Earlier | None:
        """Return the layer that the same COPY made before, for a table that has its digests."""
        name = _name(table, self._folder)
        known = self._before.get(name)
        if known is None or known.layer is None or not self._runs.get(name):
            return None
        return Earlier(*known.layer, known.table, self._runs[name])

    def note_layer(self, table: EntryTable, diff_id: Digest, offset: int) -> None:
        """Remember the layer that ``table`` came to, in which its entries begin at ``offset``."""
        name = _name(table, self._folder)
        if name in self._news:
            self._layers[name] = (diff_id, offset)

    def expect(self, table: EntryTable) -> None:
        """Have whoever reads the files find out which may be remembered, when each is open and not yet read."""
        self._forget(_name(table, self._folder))
        table.expecting = Expecting(lambda descriptor, identity: self._is_settled(identity) and self._rests(descriptor))

    def remember(self, table: EntryTable) -> None:
        """Keep the digests of ``table``, whose files were read since they were expected."""
        if table.digests is not None and len(table.resting) == len(table):
            name = _name(table, self._folder)
            self._kept[name], self._news[name] = bytearray(table.resting), table
            for number in table.odd:
                self._kept[name][number] = 0

    def _forget(self, name: str) -> None:
        """Forget what is news of a COPY: another one of the same name is done, and what was found is not about it."""
        for known in (self._kept, self._news, self._runs, self._layers):
            known.pop(name, None)

    def keeps(self, table: EntryTable) -> bool:
        """Return whether all contents of ``table`` are remembered."""
        kept = self._kept.get(_name(table, self._folder), b"")
        return len(kept) == len(table) and kept.count(_KEPT) == len(kept)

    def may_keep(self, path: str, identity: FileIdentity) -> bool:
        """Return whether a file may be remembered that is to be read now: it is old, and nobody writes to it."""
        return self._is_settled(identity) and self._is_at_rest(path, identity)

    def save(self) -> None:
        """Write the news."""
        for name, table in self._news.items():
            layer = self._layers.get(name) or self._earlier_layer(name, table)
            file = self._open_file(name)
            file.write(*_pack(table, self._kept[name], self._folder, layer))
            file.keep_newest(_KIND, _MOST_COPIES)
        self._news.clear()

    def _earlier_layer(self, name: str, table: EntryTable) -> tuple[Digest, int] | None:
        """Return the layer that was remembered, where it was made of the very same."""
        known = self._before.get(name)
        return known.layer if known is not None and known.is_of(table) else None

    def _recall(self, table: EntryTable) -> Remembered | None:
        name = _name(table, self._folder)
        if name not in self._before:
            self._before[name] = None
            body = self._open_file(name).read()
            with contextlib.suppress(ValueError, struct.error, OverflowError):
                self._before[name] = Remembered(body, self._folder) if body else None
        return self._before[name]


class _Look:
    """Looking at files: whether they may be remembered, and what is in them."""

    def __init__(self, memory: TableMemory, table: EntryTable, numbers: array[int], digest_of: Digester) -> None:
        self._memory = memory
        self._table = table
        self._numbers = numbers
        self._digest_of = digest_of

    def into(self, kept: bytearray, digests: bytearray) -> None:
        """Put what is found where it belongs; what is no file is always kept.

        Raises: what ``digest_of`` raises.
        """
        count = len(self._numbers)
        size = max(-(-count // _MOST_PIECES), 64)
        pieces = [range(first, min(first + size, count)) for first in range(0, count, size)]
        helpers = workers.available() if count >= _WORTH_SHARING else 0
        with mmap.mmap(-1, (DIGEST_SIZE + 1) * count or 1) as found:
            work = [partial(self._look, one, found) for one in pieces]
            with Workers(helpers, len(pieces), lambda number: work[number](), []) as others:
                for number, one in enumerate(work):
                    if not others.wait(number):
                        one()
            for place, number in enumerate(self._numbers):
                kept[number] = found[DIGEST_SIZE * count + place]
                start = DIGEST_SIZE * place
                digests[DIGEST_SIZE * number : DIGEST_SIZE * (number + 1)] = found[start : start + DIGEST_SIZE]

    def _look(self, piece: range, found: mmap.mmap) -> None:
        flags = DIGEST_SIZE * len(self._numbers)
        for place in piece:
            number = self._numbers[place]
            if not self._table.is_file(number):
                found[flags + place] = _KEPT
                continue
            entry = self._table[number]
            assert isinstance(entry.source, str)
            assert entry.identity is not None
            if number not in self._table.odd and self._memory.may_keep(entry.source, entry.identity):
                found[flags + place] = _KEPT
            digest = self._digest_of(entry.source, entry.identity)
            found[DIGEST_SIZE * place : DIGEST_SIZE * (place + 1)] = digest


def _name(table: EntryTable, folder: str) -> str:
    """Return what a COPY's memory is called: by where it takes from, and where that goes."""
    about = "\0".join([f"{prefix}\0{place.removeprefix(folder)}" for prefix, place in table.places[:2]])
    return f"{_KIND}{hashlib.sha256(about.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


def _pack(table: EntryTable, kept: bytearray, folder: str, layer: tuple[Digest, int] | None) -> list[Buffer]:
    assert table.digests is not None
    places = [text for prefix, place in table.places for text in (prefix, place.removeprefix(folder))]
    targets = [text for number, target in table.targets.items() for text in (str(number), target)]
    made = [f"{layer[0].hex} {layer[1]}"] if layer is not None else []
    texts = ["\0".join(one).encode() for one in (table.names, places, targets, [str(table.mtime)], made)]
    head = _HEAD.pack(len(table), *map(len, texts))
    return [head, table.folders, table.rows, table.digests, kept, *texts]
