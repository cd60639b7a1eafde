"""On which file systems stat data are believed, and what tells one mount from another at the same place."""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeimage.context import ContextCollector, StatIndex, ground
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


@pytest.mark.parametrize("library", [object(), OSError("no library")], ids=["without statx", "none"])
def test_a_c_library_without_statx_knows_no_unique_number(library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_name: object) -> object:
        if isinstance(library, OSError):
            raise library
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)

    assert ground.unique_mount_id("/") is None


def test_another_mount_with_the_same_numbers_is_another_ground(mounts: Callable[..., None]) -> None:
    loop = "21 20 7:0 / /work rw - ext4 /dev/loop0 rw"
    mounts(ROOT, loop, unique=100)
    before = ground.ground_of("/work/context")

    mounts(ROOT, loop, unique=101)

    assert None is not before != ground.ground_of("/work/context") is not None


def test_a_mount_is_asked_for_its_number_where_the_context_is_on_it(
    mounts: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts(ROOT, "21 20 254:1 / /work rw - ext4 /dev/vdb rw", "22 21 254:2 / /work/context/d rw - xfs /dev/vdc rw")
    asked: list[str] = []
    monkeypatch.setattr(ground, "unique_mount_id", asked.append)

    ground.ground_of("/work/context")

    assert asked == ["/work/context", "/work/context/d"], "another mount may lie on the first one's place"


def test_a_place_with_odd_characters_is_found(mounts: Callable[..., None]) -> None:
    mounts(ROOT, r"21 20 0:30 / /a\040b\134c rw - tmpfs none rw")

    assert ground.ground_of("/a b\\c/d") is None
    assert ground.ground_of("/a") is not None


@pytest.mark.parametrize("odd", ["", "rubbish", "21 20 0:30 / /work", "21 20 0:30 / /work rw - tmpfs none"])
def test_a_line_that_is_no_mount_counts_for_nothing(mounts: Callable[..., None], odd: str) -> None:
    mounts(ROOT)
    plain = ground.ground_of("/work/context")

    mounts(ROOT, odd)

    assert ground.ground_of("/work/context") == plain is not None


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
        first.expect("f", entry.identity)
        first.record("f", entry.identity, bytes(32))
    assert index().lookup("f", entry.identity) is None
    assert index().lookup("f", entry.identity) == bytes(32)


def test_nothing_is_kept_where_something_else_was_mounted_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("1")
    grounds = iter([b"one", b"two"])
    entry = next(one for one in ContextCollector(str(tmp_path)).collect(CopyRequest(("f",), ".")).entries)
    assert entry.identity is not None
    index = StatIndex(str(tmp_path / "kept"), str(tmp_path), clock=lambda: 2**62, find_ground=lambda _: next(grounds))

    index.expect("f", entry.identity)
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
        index.expect("f", entry.identity)
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
        index.expect("f", entry.identity)
        index.record("f", entry.identity, bytes(32))

    assert index.lookup("f", entry.identity) is None
    assert abs(ground.kernel_now() - real()) < 3600 * 10**9 // 2
