"""What is remembered of large COPYs: only what changed is read again, and nothing that may have changed is believed."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.context import tablememory
from kubeimage.context.collector import ContextCollector
from kubeimage.context.statindex import StatIndex
from kubeimage.image.digest import Digest
from kubeimage.layer import table
from kubeimage.layer.entry import FileIdentity, Kind
from kubeimage.layer.table import ContentDigests, EntryTable
from kubeimage.layer.writer import write_layer
from kubeimage.protocols.context import CopyRequest

LATER = 4_000_000_000 * 10**9
PATHS = [f"{folder}/{name}" for folder in ("a", "a/b", "c") for name in ("1", "2", "3")]
ALL = CopyRequest((".",), "x")


class Build:
    """A build's collector on a folder, long after its files were made; ``read`` are the files that it read."""

    def __init__(self, folder: Path, kept: Path, *, at_rest: bool = True) -> None:
        self.read: list[str] = []
        self.index = StatIndex(
            str(kept),
            str(folder),
            clock=lambda: LATER,
            find_ground=lambda _: b"ground",
            at_rest=lambda _path, _identity: at_rest,
            at_rest_open=lambda _descriptor: at_rest,
        )
        self.collector = ContextCollector(str(folder), stat_index=self.index, digester=self._digest)

    def _digest(self, path: str, _identity: FileIdentity | None) -> bytes:
        self.read.append(os.path.relpath(path, self.index._context))
        return hashlib.sha256(Path(path).read_bytes()).digest()

    def digests(self, request: CopyRequest = ALL) -> dict[str, bytes | None]:
        entries = self.collector.with_digests(self.collector.collect(request).entries)
        assert isinstance(entries, EntryTable)
        self.index.save()
        return {one.path.removeprefix("x/"): one.digest for one in entries if one.kind is Kind.FILE}


@pytest.fixture(autouse=True, scope="module")
def _small_tables() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "FEWEST", 1)
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "context", PATHS)


def make(folder: Path, paths: Sequence[str]) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"content of {path}")
    return folder


def truth(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest() for path in files}


@pytest.mark.parametrize("mtime", [0, None, 7])
def test_what_is_known_is_not_read_again(tmp_path: Path, folder: Path, mtime: int | None) -> None:
    first, second = Build(folder, tmp_path), Build(folder, tmp_path)
    request = CopyRequest((".",), "x", mtime=mtime)

    assert first.digests(request) == truth(folder) == second.digests(request)
    assert (sorted(first.read), second.read) == (sorted(PATHS), [])


@given(
    gone=st.sets(st.sampled_from(PATHS)),
    changed=st.sets(st.sampled_from(PATHS)),
    new=st.sets(st.sampled_from(["a/0", "a/b/11", "a/bb/1", "b", "c/4", "z"])),
)
def test_after_an_edit_those_are_read_that_changed(gone: set[str], changed: set[str], new: set[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = make(Path(place, "context"), PATHS)
        (folder / "link").symlink_to("a")
        Build(folder, Path(place)).digests()
        for path in gone:
            (folder / path).unlink()
        for path in changed - gone:
            (folder / path).write_text("other")
        if new:
            (folder / "link").unlink()
            (folder / "link").symlink_to("c")
        make(folder, sorted(new))

        again = Build(folder, Path(place))

        assert again.digests() == truth(folder)
        assert set(again.read) == (changed - gone) | new


def test_a_file_that_somebody_may_write_to_is_read_each_time(tmp_path: Path, folder: Path) -> None:
    Build(folder, tmp_path, at_rest=False).digests()

    again = Build(folder, tmp_path)
    again.digests()

    assert sorted(again.read) == sorted(PATHS)


def test_a_copy_is_known_as_a_whole_only_if_each_file_is(tmp_path: Path, folder: Path) -> None:
    for at_rest in (False, True):
        build = Build(folder, tmp_path, at_rest=at_rest)
        entries = build.collector.collect(ALL).entries
        build.collector.remember_sources(build.collector.with_digests(entries), Digest("0" * 64))

        assert (build.collector.known_sources(entries) is not None) == at_rest


@pytest.mark.parametrize("at_rest", [True, False])
def test_what_a_layer_was_made_of_is_remembered_if_it_was_at_rest(tmp_path: Path, folder: Path, at_rest: bool) -> None:
    """Each file is asked for when it is open and not yet read."""
    build = Build(folder, tmp_path, at_rest=at_rest)
    entries = build.collector.collect(ALL).entries
    assert isinstance(entries, EntryTable)
    build.collector.expect(entries)
    found = write_layer(entries, lambda _: None).digests
    assert isinstance(found, ContentDigests)
    build.collector.remember(entries.with_digests(found.packed, found.resting))
    build.index.save()

    again = Build(folder, tmp_path)

    assert again.digests() == truth(folder)
    assert sorted(again.read) == ([] if at_rest else sorted(PATHS))
    assert build.read == []


def test_what_nobody_expected_is_not_remembered(tmp_path: Path, folder: Path) -> None:
    build = Build(folder, tmp_path)
    entries = build.collector.collect(ALL).entries
    assert isinstance(entries, EntryTable)
    build.collector.remember(entries.with_digests(bytes(32 * len(entries))))

    assert not build.index.tables.is_changed


@pytest.mark.parametrize("edit", [True, False])
def test_the_layer_is_remembered_as_long_as_it_holds_the_same(tmp_path: Path, folder: Path, edit: bool) -> None:
    first = Build(folder, tmp_path)
    entries = first.collector.with_digests(first.collector.collect(ALL).entries)
    first.collector.note_layer(entries, Digest("1" * 64), 512)
    first.index.save()
    if edit:
        (folder / PATHS[3]).write_text("other")
    second = Build(folder, tmp_path, at_rest=False)
    second.index.tables._recall(second.collector.collect(ALL).entries).kept = bytes(100)  # type: ignore[union-attr,arg-type]
    second.digests()

    third = Build(folder, tmp_path)
    kept = third.index.tables._recall(third.collector.collect(ALL).entries)  # type: ignore[arg-type]

    assert kept is not None
    assert kept.layer == (None if edit else (Digest("1" * 64), 512))


def test_an_edit_finds_the_earlier_layer(tmp_path: Path, folder: Path) -> None:
    first = Build(folder, tmp_path)
    entries = first.collector.with_digests(first.collector.collect(ALL).entries)
    first.collector.note_layer(entries, Digest("1" * 64), 512)
    first.index.save()
    (folder / PATHS[3]).write_text("other")

    second = Build(folder, tmp_path)
    now = second.collector.with_digests(second.collector.collect(ALL).entries)
    found = second.collector.earlier(now)

    assert found is not None
    assert (found.diff_id, found.offset, len(found.table)) == (Digest("1" * 64), 512, len(now))
    changed = {number for run in found.runs for number in range(run.now, run.now + run.length)} ^ {*range(len(now))}
    assert [now[number].path for number in changed] == [f"x/{PATHS[3]}"]


@pytest.mark.parametrize("damage", [b"", b"x", b"\xff" * 48, bytes(48), bytes(6000)])
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, folder: Path, damage: bytes) -> None:
    build = Build(folder, tmp_path)
    build.digests()
    (kept,) = [path for path in tmp_path.iterdir() if ".copy" in path.name]
    table = build.collector.collect(ALL).entries
    assert isinstance(table, EntryTable)
    for write in (
        lambda: kept.write_bytes(damage),
        lambda: build.index.tables._open_file(kept.suffix[1:]).write(damage),
    ):
        write()
        again = Build(folder, tmp_path)

        assert again.digests() == truth(folder)
        assert sorted(again.read) == sorted(PATHS)


def test_what_is_known_of_one_copy_is_not_said_of_another(tmp_path: Path, folder: Path) -> None:
    """Both have the same sources and the same place, and not the same modes."""
    build = Build(folder, tmp_path)
    entries = build.collector.with_digests(build.collector.collect(ALL).entries)
    build.collector.note_layer(entries, Digest("1" * 64), 512)
    other = build.collector.collect(CopyRequest((".",), "x", chmod=0o600)).entries
    build.collector.expect(other)
    assert isinstance(other, EntryTable)
    build.collector.remember(other.with_digests(bytes(32 * len(other))))

    assert not build.index.tables.keeps(other)
    again = build.collector.with_digests(other)
    build.index.save()

    kept = Build(folder, tmp_path).index.tables._recall(other)
    assert kept is not None
    assert (kept.layer, list(kept.table)) == (None, list(again))


def test_only_the_newest_copies_of_a_context_are_remembered(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tablememory, "_MOST_COPIES", 2)
    (tmp_path / "other.copy1").write_text("of another context")
    for place in ("x", "y", "z"):
        build = Build(folder, tmp_path)
        build.collector.with_digests(build.collector.collect(CopyRequest((".",), place)).entries)
        build.index.save()
    found = {path.name.partition(".")[0] for path in tmp_path.glob("*.copy*")}

    assert len(list(tmp_path.glob("*.copy*"))) == 3
    assert "other" in found


def test_large_trees_are_tables_and_small_ones_lists(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_table = Build(folder, tmp_path).collector.collect(ALL).entries
    monkeypatch.setattr(table, "FEWEST", 1000)
    as_list = Build(folder, tmp_path).collector.collect(ALL).entries

    assert isinstance(as_list, list)
    assert as_table == as_list
