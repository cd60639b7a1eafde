"""On which file systems stat data are believed, and what tells one mount from another at the same place."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeimage.context import ContextCollector, StatIndex, ground
from kubeimage.layer.entry import Entry, Kind
from kubeimage.protocols.context import CopyRequest

ROOT = "20 1 254:0 / / rw,relatime - ext4 /dev/vda rw"


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Play a machine with these mounts; ``unique`` gives their numbers, None on an older kernel."""

    def play(*lines: str, unique: int | None = 7) -> None:
        (tmp_path / "mountinfo").write_text("".join(f"{line}\n" for line in lines))
        monkeypatch.setattr(ground, "_MOUNTS", str(tmp_path / "mountinfo"))
        monkeypatch.setattr(ground, "unique_mount_id", lambda _path: unique)

    return play


KINDS = {
    "ext4": True,
    "ext3": True,
    "ext2": True,
    "xfs": True,
    "btrfs": True,
    "tmpfs": False,
    "ramfs": False,
    "overlay": False,
    "fuse": False,
    "fuse.sshfs": False,
    "9p": False,
    "virtiofs": False,
    "nfs": False,
    "nfs4": False,
    "cifs": False,
    "vfat": False,
    "squashfs": False,
    "something-new": False,
}


@pytest.mark.parametrize(("kind", "believed"), KINDS.items())
@pytest.mark.parametrize("place", ["/", "/work", "/work/context", "/work/context/inner"])
def test_each_file_system_is_in_or_out_by_name(
    mounts: Callable[..., None], kind: str, believed: bool, place: str
) -> None:
    mounts(ROOT.replace("ext4", "ext4" if place != "/" else kind), f"21 20 0:30 / {place} rw - {kind} none rw")

    assert (ground.ground_of("/work/context") is not None) == believed


def test_mounts_elsewhere_count_for_nothing(mounts: Callable[..., None]) -> None:
    mounts(ROOT)
    plain = ground.ground_of("/work/context")

    mounts(ROOT, "21 20 0:30 / /work/context2 rw - tmpfs none rw", "22 20 0:31 / /other rw - nfs none rw")

    assert ground.ground_of("/work/context") == plain is not None


OLDER = {
    "a disk": ("20 1 254:0 / / rw - ext4 /dev/vda rw", True),
    "read-only": ("20 1 254:0 / / ro - ext4 /dev/vda ro", False),
    "a loop device": ("20 1 7:0 / / rw - ext4 /dev/loop0 rw", False),
    "a read-only superblock": ("20 1 254:0 / / rw - ext4 /dev/vda ro", False),
}


@pytest.mark.parametrize(("line", "believed"), OLDER.values(), ids=OLDER)
def test_a_kernel_without_unique_numbers_is_believed_on_disks_that_stay(
    mounts: Callable[..., None], line: str, believed: bool
) -> None:
    mounts(line, unique=None)

    assert (ground.ground_of("/work") is not None) == believed


def test_a_disk_that_can_be_taken_out_is_not_believed(
    mounts: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "_is_removable", lambda _device: True)

    mounts(ROOT, unique=None)
    assert ground.ground_of("/work") is None
    mounts(ROOT, unique=7)
    assert ground.ground_of("/work") is not None


def test_another_mount_with_the_same_numbers_is_another_ground(mounts: Callable[..., None]) -> None:
    loop = "21 20 7:0 / /work rw - ext4 /dev/loop0 rw"
    mounts(ROOT, loop, unique=100)
    before = ground.ground_of("/work/context")

    mounts(ROOT, loop, unique=101)

    assert None is not before != ground.ground_of("/work/context") is not None


def test_a_place_with_odd_characters_is_found(mounts: Callable[..., None]) -> None:
    mounts(ROOT, r"21 20 0:30 / /a\040b\134c rw - tmpfs none rw")

    assert ground.ground_of("/a b\\c/d") is None
    assert ground.ground_of("/a") is not None


def test_what_is_remembered_is_forgotten_on_another_ground(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("1")
    grounds = iter([b"one", b"one", b"two", b"one"])
    entry = next(one for one in ContextCollector(str(tmp_path)).collect(CopyRequest(("f",), ".")).entries)
    assert entry.identity is not None

    def index() -> StatIndex:
        return StatIndex(
            str(tmp_path / "kept"), str(tmp_path), clock=lambda: 2**62, find_ground=lambda _: next(grounds)
        )

    with index() as first:
        first.record("f", entry.identity, bytes(32))
    assert index().lookup("f", entry.identity) is None
    assert index().lookup("f", entry.identity) == bytes(32)


def test_nothing_is_kept_where_something_else_was_mounted_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("1")
    grounds = iter([b"one", b"two"])
    entry = next(one for one in ContextCollector(str(tmp_path)).collect(CopyRequest(("f",), ".")).entries)
    assert entry.identity is not None
    index = StatIndex(str(tmp_path / "kept"), str(tmp_path), clock=lambda: 2**62, find_ground=lambda _: next(grounds))

    index.record("f", entry.identity, bytes(32))
    index.save()

    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("age", [0, 1, 59, 61, 3600])
def test_a_file_is_remembered_once_it_is_older_than_a_minute(tmp_path: Path, age: int) -> None:
    (tmp_path / "f").write_text("1")
    entry = next(one for one in ContextCollector(str(tmp_path)).collect(CopyRequest(("f",), ".")).entries)
    assert entry.identity is not None
    now = entry.identity.ctime_ns + age * 10**9

    with StatIndex(str(tmp_path / "kept"), str(tmp_path), clock=lambda: now, find_ground=lambda _: b"") as index:
        index.record("f", entry.identity, bytes(32))

    assert (index.lookup("f", entry.identity) is not None) == (age > 60)


@pytest.mark.parametrize("hours", [-1, 1])
def test_ages_go_by_the_clock_that_stamps_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    (tmp_path / "f").write_text("1")
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + hours * 3600 * 10**9)
    monkeypatch.setattr(time, "time", lambda: real() / 10**9 + hours * 3600)
    entry = next(one for one in ContextCollector(str(tmp_path)).collect(CopyRequest(("f",), ".")).entries)
    assert entry.identity is not None

    with StatIndex(str(tmp_path / "kept"), str(tmp_path), find_ground=lambda _: b"") as index:
        index.record("f", entry.identity, bytes(32))

    assert index.lookup("f", entry.identity) is None
    assert abs(ground.kernel_now() - real()) < 3600 * 10**9 // 2


WAYS = st.sampled_from(["write", "in place", "mapped", "rename", "hard link", "time back", "wait", "nothing"])


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(WAYS, st.sampled_from([b"1111", b"2222", b"3333"])), max_size=6))
def test_with_a_memory_a_build_reads_what_one_without_reads(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("context")
    kept, path = str(folder / "kept"), folder / "c/f"
    path.parent.mkdir()
    path.write_bytes(b"0000")
    later = 0
    for way, content in steps:
        later += 10**12 if way == "wait" else 0
        change(path, way, content)
        # Time goes on for the clock alone, so what was written just now looks young until the next "wait".
        found = sources(path.parent, kept, lambda later=later: ground.kernel_now() + later)  # type: ignore[misc]
        assert found == sources(path.parent, None, ground.kernel_now), way


def change(path: Path, way: str, content: bytes) -> None:
    times = (os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns)
    if way in ("write", "time back"):
        path.write_bytes(content)
    elif way in ("in place", "mapped"):
        # A write through a mapping that is seen by its times is one to the kernel; one that is not needs a young file.
        with path.open("r+b") as file:
            file.write(content)
    elif way in ("rename", "hard link"):
        other = path.with_name("other")
        other.write_bytes(content)
        os.utime(other, ns=times)
        if way == "hard link":
            path.unlink()
            os.link(other, path)
            other.unlink()
        else:
            other.rename(path)
    if way == "time back":
        os.utime(path, ns=times)


def sources(context: Path, kept: str | None, clock: Callable[[], int]) -> list[bytes | None]:
    if kept is None:
        return digests(ContextCollector(str(context)))
    with StatIndex(kept, str(context), clock=clock, find_ground=lambda _: b"here") as index:
        return digests(ContextCollector(str(context), stat_index=index))


def digests(collector: ContextCollector) -> list[bytes | None]:
    entries: list[Entry] = collector.with_digests(collector.collect(CopyRequest((".",), ".")).entries)
    collector.remember(entries)
    return [entry.digest for entry in entries if entry.kind is Kind.FILE]
