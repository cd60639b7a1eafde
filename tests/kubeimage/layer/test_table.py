"""Entries in columns are what they are one by one."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.layer.entry import Entry, Kind, directory, identity_of
from kubeimage.layer.header import length_in_tar
from kubeimage.layer.table import DIGEST_SIZE, ContentDigests, EntryTable, Joined, compact, join, total_size

LATE = 2**64


def status(size: int = 0, mtime_ns: int = 0, inode: int = 1) -> os.stat_result:
    values = (0o100644, inode, 5, 1, 0, 0, size, 0, 0, 0)
    return os.stat_result(values, {"st_mtime_ns": mtime_ns, "st_ctime_ns": 7})


@st.composite
def tables(draw: st.DrawFn) -> tuple[EntryTable, list[Entry]]:
    """A table, and the same entries as a list."""
    mtime = draw(st.sampled_from([0, 5, None, -1, 8**11]))
    table = EntryTable(mtime)
    entries: list[Entry] = []
    for folder in draw(st.lists(st.sampled_from(["", "d/", "é/", "p" * 60 + "/"]), unique=True, max_size=4)):
        place = table.add_place(folder, f"/context/{folder}")
        for name in draw(st.lists(st.sampled_from(["a", "b", "ü", "n" * 50, "m" * 101]), unique=True, max_size=5)):
            size, time = draw(st.sampled_from([0, 1, 511, 512, 8**11])), draw(st.sampled_from([0, 10**9, LATE]))
            kind = draw(st.sampled_from(["file", "directory", "symlink"]))
            if kind == "file":
                looked = status(size, time, inode=len(entries))
                table.add_file(name, place, looked, 0o755)
                entries.append(
                    Entry(
                        folder + name,
                        Kind.FILE,
                        0o755,
                        size,
                        mtime=time // 10**9 if mtime is None else mtime,
                        source=f"/context/{folder}{name}",
                        identity=identity_of(looked),
                    )
                )
            elif kind == "directory":
                table.add_other(name, place, 0o40750, 3)
                entries.append(Entry(folder + name, Kind.DIRECTORY, 0o750, mtime=3))
            else:
                table.add_other(name, place, 0o120777, 3, "t" * 200)
                entries.append(Entry(folder + name, Kind.SYMLINK, 0o777, target="t" * 200, mtime=3))
    return table, entries


@given(tables())
def test_a_table_has_the_entries_that_were_added(both: tuple[EntryTable, list[Entry]]) -> None:
    table, entries = both

    assert list(table) == entries == table[:]
    assert [table[number] for number in range(-len(entries), len(entries))] == entries * 2
    assert table == entries
    assert [table.is_file(number) for number in range(len(entries))] == [one.kind is Kind.FILE for one in entries]
    assert total_size(table) == total_size(entries)
    assert list(compact(table)) == entries


@given(tables())
def test_lengths_are_those_of_the_entries(both: tuple[EntryTable, list[Entry]]) -> None:
    table, entries = both
    parents = [directory("above")]

    assert list(table.lengths()) == list(map(length_in_tar, entries))
    joined = join(parents, table)
    assert isinstance(joined, Joined)
    assert list(joined) == [joined[number] for number in range(len(joined))] == joined[:] == [*parents, *entries]
    assert list(joined.lengths()) == list(map(length_in_tar, [*parents, *entries]))


@given(tables(), tables())
def test_equal_fingerprints_mean_equal_entries(
    one: tuple[EntryTable, list[Entry]], other: tuple[EntryTable, list[Entry]]
) -> None:
    first, second = one[0].fingerprint(), other[0].fingerprint()

    assert (first is None) == bool(one[0].odd)
    if first is not None and first == second:
        assert one[1] == other[1]


@given(tables())
def test_digests_stand_where_their_entries_do(both: tuple[EntryTable, list[Entry]]) -> None:
    table, entries = both
    packed = b"".join(bytes([number]) * DIGEST_SIZE for number in range(len(entries)))

    found = table.with_digests(packed)

    assert [one.digest for one in found] == [
        bytes([number]) * DIGEST_SIZE if one.kind is Kind.FILE else None for number, one in enumerate(entries)
    ]
    assert all(one.digest is None for one in table)
    assert ContentDigests(entries, packed) == {one.path: one.digest for one in found if one.kind is Kind.FILE}


def test_too_few_digests_are_refused() -> None:
    table = EntryTable(0)
    table.add_file("a", table.add_place("", "/"), status(), 0o644)

    with pytest.raises(ValueError, match="1 entries"):
        table.with_digests(b"")


def test_an_index_beyond_the_end_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        EntryTable(0)[0]
