"""What a whole COPY came to is remembered while nothing says that it has changed, and not a moment longer."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeimage.context import ContextCollector, StatIndex
from kubeimage.context.indexfile import IndexFile
from kubeimage.context.treeindex import TreeIndex
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, FileIdentity, Kind, directory, file, symlink
from kubeimage.protocols.context import CopyRequest

NOW = 1_700_000_000 * 10**9
OLD = FileIdentity(5, NOW - 90 * 10**9 + 7, NOW - 90 * 10**9 + 7, 11, 22)
DIGEST = bytes(range(32))
ENTRIES = (
    directory("etc"),
    Entry("etc/a", Kind.FILE, 0o644, 5, source="/context/a", identity=OLD),
    symlink("etc/b", "a"),
    Entry("etc/ü", Kind.FILE, 0o600, 5, mtime=3, source="/context/ü", identity=OLD._replace(inode=12)),
    Entry("fifo", Kind.FIFO, 0o600),
)


def trees(tmp_path: Path) -> TreeIndex:
    """The index of trees, where the files of ENTRIES are remembered one by one."""
    kept = {ENTRIES[1].identity, ENTRIES[3].identity}
    return TreeIndex(
        IndexFile(str(tmp_path / "kept"), str(tmp_path), "trees", None), lambda entry: entry.identity in kept
    )


def test_what_one_build_saves_the_next_one_knows(tmp_path: Path) -> None:
    first = trees(tmp_path)
    first.record(ENTRIES, DIGEST)
    first.record(ENTRIES[:2], DIGEST[::-1])
    first.save()

    again = trees(tmp_path)
    assert again.lookup(ENTRIES) == DIGEST
    assert again.lookup(ENTRIES[:2]) == DIGEST[::-1]
    assert again.lookup(ENTRIES[:3]) is None


def test_digests_make_no_difference(tmp_path: Path) -> None:
    found = trees(tmp_path)
    found.record([one._replace(digest=b"d" * 32) if one.kind is Kind.FILE else one for one in ENTRIES], DIGEST)

    assert found.lookup(ENTRIES) == DIGEST


def changed(number: int, **values: Any) -> tuple[Entry, ...]:
    return (*ENTRIES[:number], ENTRIES[number]._replace(**values), *ENTRIES[number + 1 :])


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param(changed(0, path="etd"), id="name of a directory"),
        pytest.param(changed(0, mode=0o700), id="mode of a directory"),
        pytest.param(changed(0, mtime=1), id="time of a directory"),
        pytest.param(changed(1, path="etc/c"), id="name of a file"),
        pytest.param(changed(1, mode=0o755), id="mode of a file"),
        pytest.param(changed(3, mtime=4), id="time of a file"),
        *(
            pytest.param(changed(1, identity=OLD._replace(**{field: 1})), id=f"{field} of a file")
            for field in FileIdentity._fields
        ),
        pytest.param(changed(2, target="c"), id="target of a symlink"),
        pytest.param(changed(2, kind=Kind.HARDLINK), id="symlink to hard link"),
        pytest.param(changed(4, kind=Kind.DIRECTORY), id="fifo to directory"),
        pytest.param((ENTRIES[0], ENTRIES[3], ENTRIES[2], ENTRIES[1], ENTRIES[4]), id="other order"),
        pytest.param(ENTRIES[:-1], id="one less"),
        pytest.param((*ENTRIES, directory("z")), id="one more"),
        pytest.param((), id="none"),
    ],
)
def test_what_differs_in_anything_is_unknown(tmp_path: Path, entries: tuple[Entry, ...]) -> None:
    found = trees(tmp_path)
    found.record(ENTRIES, DIGEST)

    assert found.lookup(entries) is None


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param(changed(1, identity=OLD._replace(mtime_ns=NOW)), id="a first file that is not remembered"),
        pytest.param(changed(3, identity=OLD._replace(ctime_ns=NOW + 5)), id="a last file that is not remembered"),
        pytest.param(changed(1, identity=OLD._replace(mtime_ns=2**63)), id="a time that no clock shows"),
        pytest.param(changed(1, identity=None), id="nobody looked at the file"),
        pytest.param((file("a", b"1"),), id="bytes"),
    ],
)
def test_what_is_not_remembered_file_by_file_is_not_as_a_whole(tmp_path: Path, entries: tuple[Entry, ...]) -> None:
    found = trees(tmp_path)

    found.record(entries, DIGEST)

    assert found.lookup(entries) is None


def test_the_latest_are_kept(tmp_path: Path) -> None:
    found = trees(tmp_path)
    for number in range(600):
        found.record((directory(str(number)),), DIGEST)
    found.save()

    again = trees(tmp_path)
    assert [again.lookup((directory(str(number)),)) for number in (0, 87, 88, 599)] == [None, None, DIGEST, DIGEST]


def test_a_damaged_index_is_an_empty_one(tmp_path: Path) -> None:
    found = trees(tmp_path)
    found.record(ENTRIES, DIGEST)
    found.save()
    (path,) = (tmp_path / "kept").iterdir()
    data = path.read_bytes()

    for damaged in (data[:-1], data[:-32], data + b"\0", data[:-1] + bytes([data[-1] ^ 1]), b"", os.urandom(300)):
        path.write_bytes(damaged)
        assert trees(tmp_path).lookup(ENTRIES) is None


def edit(path: Path) -> None:
    before = path.stat()
    time.sleep(0.02)  # so that the clock of the filesystem has moved on
    path.write_bytes(b"x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap(path: Path) -> None:
    other = path.with_name("b")
    os.rename(path, path.with_name("c"))
    os.rename(other, path)
    os.rename(path.with_name("c"), other)


@pytest.mark.parametrize(
    ("change", "is_known"),
    [
        pytest.param(lambda _: None, True, id="nothing"),
        pytest.param(edit, False, id="an edit that keeps size and mtime"),
        pytest.param(swap, False, id="two files of one size swapped"),
        pytest.param(lambda path: path.with_name("new").touch(), False, id="a new file"),
        pytest.param(Path.unlink, False, id="a file gone"),
        pytest.param(lambda path: path.chmod(0o600), False, id="a mode"),
    ],
)
def test_a_context_is_known_until_it_changes(tmp_path: Path, change: Callable[[Path], object], is_known: bool) -> None:
    folder = tmp_path / "context"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text(name)
    sources = Digest(DIGEST.hex())

    def collector() -> tuple[ContextCollector, StatIndex]:
        index = StatIndex(
            str(tmp_path / "kept"), str(folder), clock=lambda: time.time_ns() + 10**11, find_ground=lambda _: b"here"
        )
        return ContextCollector(str(folder), stat_index=index), index

    first, index = collector()
    first.remember_sources(first.with_digests(first.collect(CopyRequest((".",), ".")).entries), sources)
    index.save()
    change(folder / "a")
    again, _ = collector()

    assert again.known_sources(again.collect(CopyRequest((".",), ".")).entries) == (sources if is_known else None)
