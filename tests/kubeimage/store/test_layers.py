"""What a store does with an earlier layer: it is used where it is good, and never believed."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from harness.faults.faults import SHORT, Error, IoFaults
from harness.faults.iocalls import CALLS
from kubeimage.cache import CacheRecords
from kubeimage.errors import KubeimageError
from kubeimage.layer import splicing
from kubeimage.layer.splicing import Earlier, Run
from kubeimage.layer.stored import StoredLayer
from kubeimage.layer.table import EntryTable
from kubeimage.store import Store, cache_folder

NAMES = [f"f{number}" for number in range(20)]


def open_at(folder: Path) -> Store:
    return Store.open(str(folder), cache=CacheRecords(cache_folder(str(folder))))


def table_of(folder: Path) -> EntryTable:
    table = EntryTable(0)
    place = table.add_place("", f"{folder}/")
    for name in sorted(NAMES):
        table.add_file(name, place, os.stat(folder / name), 0o644)
    return table


class Edited:
    """A layer in a store, and its files with one of them edited."""

    def __init__(self, folder: Path, store: Store) -> None:
        context = folder / "context"
        context.mkdir()
        for name in NAMES:
            (context / name).write_text(name * 300)
        old = table_of(context)
        self.old = store.layers.put(old)
        self.path = folder / "store" / "blobs" / "sha256" / self.old.diff_id.hex
        (context / NAMES[3]).write_text("edited")
        table = table_of(context)
        with open_at(folder / "other") as other:
            self.expected = other.layers.put(table)
        self.table = table.with_digests(self.expected.digests.packed)  # type: ignore[attr-defined]
        number = table.names.index(NAMES[3])
        runs = [Run(0, 0, number), Run(number + 1, number + 1, len(NAMES) - number - 1)]
        self.earlier = Earlier(self.old.diff_id, 0, old, runs)

    def put(self, store: Store) -> StoredLayer:
        return store.layers.put(self.table, earlier=self.earlier)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what is copied in the kernel."""
    lengths: list[int] = []
    copy = os.copy_file_range

    def note(source: int, target: int, count: int, *places: int) -> int:
        lengths.append(count)
        return copy(source, target, count, *places)

    monkeypatch.setattr(os, "copy_file_range", note)
    monkeypatch.setattr(splicing, "_LEAST", 1)
    return lengths


def test_what_has_not_changed_is_copied(tmp_path: Path, copied: list[int]) -> None:
    with open_at(tmp_path / "store") as store:
        edited = Edited(tmp_path, store)

        assert edited.put(store) == edited.expected
        assert len(copied) == 2
        assert store.layers.has(edited.expected.diff_id)


@pytest.mark.parametrize("place", [600, 700, 5000, -1])
def test_a_rotten_layer_is_written_anew_and_not_trusted_again(tmp_path: Path, copied: list[int], place: int) -> None:
    with open_at(tmp_path / "store") as store:
        edited = Edited(tmp_path, store)
    damaged = bytearray(edited.path.read_bytes())
    damaged[place] ^= 1
    edited.path.chmod(0o644)
    edited.path.write_bytes(damaged)
    os.utime(edited.path, ns=(0, 0))

    with open_at(tmp_path / "store") as store:
        assert edited.put(store) == edited.expected
        assert not store.layers.has(edited.old.diff_id)
        with store.layers.open(edited.expected.diff_id) as tar:
            assert hashlib.sha256(tar.read()).hexdigest() == edited.expected.diff_id.hex
    assert copied


def test_an_earlier_layer_that_is_gone_is_done_without(tmp_path: Path, copied: list[int]) -> None:
    with open_at(tmp_path / "store") as store:
        edited = Edited(tmp_path, store)
        edited.path.unlink()

        assert edited.put(store) == edited.expected
    assert copied == []


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EXDEV, SHORT, KeyboardInterrupt], ids=str)
@pytest.mark.usefixtures("copied")
def test_a_copy_that_fails_at_any_call_leaves_whole_blobs(tmp_path: Path, error: Error) -> None:
    """A kernel that cannot copy is no failure: then the bytes are read and written."""
    with open_at(tmp_path / "store") as store:
        edited = Edited(tmp_path, store)
    among = frozenset({"copy_file_range"}) if error == errno.EXDEV else CALLS
    for fault in IoFaults.every(error, among=among):
        with open_at(tmp_path / "store") as store:
            try:
                with fault:
                    done = edited.put(store) == edited.expected
            except (KubeimageError, KeyboardInterrupt):
                done = error != errno.EXDEV
        assert done, fault
        for blob in edited.path.parent.iterdir():
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name, fault
        (edited.path.parent / edited.expected.diff_id.hex).unlink(missing_ok=True)
    assert fault.at
