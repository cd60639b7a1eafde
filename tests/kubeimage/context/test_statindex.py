"""What is remembered from build to build, and what is not trusted."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeimage.context.indexfile import IndexFile
from kubeimage.context.statindex import StatIndex
from kubeimage.layer.entry import FileIdentity

SECOND = 10**9
NOW = 1_700_000_000 * SECOND
OLD = FileIdentity(5, NOW - 90 * SECOND + 7, NOW - 90 * SECOND + 7, 11, 22)
DIGEST = bytes(range(32))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "contexts"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    return folder


def index(kept: Path, context: Path, *, began: int = NOW) -> StatIndex:
    return Resting(str(kept), str(context), clock=lambda: began, young=0, find_ground=lambda _: b"here")


class Resting(StatIndex):
    """An index of files that are not there, and of which each was found at rest before it was read."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, at_rest=lambda _path, _identity: True)

    def record(self, path: str, identity: FileIdentity, digest: bytes) -> None:
        self.expect(path, identity)
        super().record(path, identity, digest)


def test_what_one_build_saves_the_next_one_knows(kept: Path, context: Path) -> None:
    with index(kept, context) as first:
        first.record("a", OLD, DIGEST)
        first.record("dir/ü b", OLD._replace(inode=2**64 - 1, size=2**40), DIGEST[::-1])
        first.record("negative", OLD._replace(mtime_ns=-5), b"n" * 32)

    again = index(kept, context)
    assert again.lookup("a", OLD) == DIGEST
    assert again.lookup("dir/ü b", OLD._replace(inode=2**64 - 1, size=2**40)) == DIGEST[::-1]
    assert again.lookup("negative", OLD._replace(mtime_ns=-5)) == b"n" * 32
    assert again.lookup("b", OLD) is None


@pytest.mark.parametrize("field", FileIdentity._fields)
def test_a_file_that_differs_in_anything_is_unknown(kept: Path, context: Path, field: str) -> None:
    found = index(kept, context)
    found.record("a", OLD, DIGEST)

    assert found.lookup("a", OLD._replace(**{field: getattr(OLD, field) - 1})) is None


@pytest.mark.parametrize(
    ("mtime", "ctime", "trusted"),
    [
        (-60 * SECOND, -60 * SECOND + 7, True),
        (-SECOND, -SECOND + 7, True),
        (-100_000_000, -100_000_000 + 7, True),
        # within a tick of the kernel's clock
        (-60 * SECOND, -10_000_000, False),
        (-10_000_000, -60 * SECOND + 7, False),
        (-60 * SECOND, 0, False),
        (0, 0, False),
        # later than the build: a clock that was set back, or another machine's
        (60 * SECOND, 60 * SECOND, False),
        (60 * SECOND, -60 * SECOND + 7, False),
        # whole seconds: a filesystem that keeps no fractions
        (-60 * SECOND, -60 * SECOND, True),
        (-SECOND, -SECOND, False),
        (-2 * SECOND, -2 * SECOND, False),
        (-3 * SECOND, -3 * SECOND, True),
    ],
)
def test_an_edit_close_to_the_build_is_not_trusted(
    kept: Path, context: Path, mtime: int, ctime: int, trusted: bool
) -> None:
    found = index(kept, context)
    identity = OLD._replace(mtime_ns=NOW + mtime, ctime_ns=NOW + ctime)

    found.record("a", identity, DIGEST)

    assert (found.lookup("a", identity) is not None) is trusted


def test_a_file_written_twice_within_a_tick_is_never_taken_for_its_first_content(kept: Path, context: Path) -> None:
    path = context / "a"
    for _ in range(30):
        path.write_bytes(b"one")
        found = StatIndex(str(kept), str(context), find_ground=lambda _: b"here")
        status = path.stat()
        identity = FileIdentity(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
        found.record("a", identity, b"1" * 32)
        found.save()
        path.write_bytes(b"two")

        assert StatIndex(str(kept), str(context), find_ground=lambda _: b"here").lookup("a", identity) is None


def saved(kept: Path, context: Path) -> bytes:
    with index(kept, context) as first:
        first.record("a", OLD, DIGEST)
        first.record("dir/b", OLD, DIGEST)
    return Path(first.path).read_bytes()


def test_a_damaged_index_is_an_empty_one(kept: Path, context: Path) -> None:
    data = saved(kept, context)
    path = Path(index(kept, context).path)
    damaged = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(len(data))]
    cut = [data[:at] for at in range(len(data))]

    for content in (*damaged, *cut, data + b"\0", b"", b"\xff" * 100):
        path.write_bytes(content)
        assert index(kept, context).lookup("a", OLD) is None

    path.write_bytes(data)
    assert index(kept, context).lookup("a", OLD) == DIGEST


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_rubbish_with_a_right_checksum_is_at_most_empty(kept: Path, context: Path, body: bytes) -> None:
    IndexFile(str(kept), os.path.realpath(context), "stat", None).write(body)

    assert index(kept, context).lookup("a", OLD) is None


def test_an_index_of_another_context_is_an_empty_one(kept: Path, context: Path, tmp_path: Path) -> None:
    data = saved(kept, context)
    other = tmp_path / "other"
    other.mkdir()
    Path(index(kept, other).path).write_bytes(data)

    assert index(kept, other).lookup("a", OLD) is None
    assert index(kept, other).path != index(kept, context).path


def test_ways_to_the_same_context_share_an_index(kept: Path, context: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(context)

    assert index(kept, tmp_path / "link").path == index(kept, context).path


def test_nothing_new_writes_nothing(kept: Path, context: Path) -> None:
    saved(kept, context)
    before = os.stat(index(kept, context).path)

    with index(kept, context) as again:
        again.lookup("a", OLD)
        again.record("a", OLD, DIGEST)
    with index(kept, context):
        pass

    assert os.stat(again.path).st_ino == before.st_ino


def test_saving_drops_what_is_no_longer_there(kept: Path, context: Path) -> None:
    saved(kept, context)

    with index(kept, context) as second:
        second.lookup("dir/b", OLD)
        second.record("c", OLD, DIGEST)

    third = index(kept, context)
    assert [name for name in ("a", "c", "dir/b") if third.lookup(name, OLD)] == ["c", "dir/b"]


def test_saving_keeps_what_another_kubefile_copies(kept: Path, context: Path) -> None:
    (context / "a").write_text("x")
    status = (context / "a").stat()
    identity = FileIdentity(1, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
    later = time.time_ns() + 10 * SECOND
    with index(kept, context, began=later) as first:
        first.record("a", identity, DIGEST)

    with index(kept, context, began=later) as second:
        second.record("b", OLD, DIGEST)

    assert index(kept, context).lookup("a", identity) == DIGEST


def test_a_failed_build_keeps_what_it_read(kept: Path, context: Path) -> None:
    interrupted = index(kept, context)
    interrupted.record("a", OLD, DIGEST)
    with pytest.raises(KeyboardInterrupt), interrupted:
        raise KeyboardInterrupt

    assert index(kept, context).lookup("a", OLD) == DIGEST


def test_a_time_that_cannot_be_kept_is_read_again(kept: Path, context: Path) -> None:
    beyond = OLD._replace(mtime_ns=2**63, ctime_ns=2**63)
    with index(kept, context, began=2**64) as first:
        first.record("a", beyond, DIGEST)
        first.record("b", OLD, DIGEST)

    again = index(kept, context)
    assert (again.lookup("a", beyond), again.lookup("b", OLD)) == (None, DIGEST)


@pytest.mark.parametrize("obstacle", ["file for folder", "folder for file", "missing parent is a file"])
def test_an_index_that_cannot_be_kept_is_told_once_and_harms_nothing(
    tmp_path: Path, context: Path, obstacle: str
) -> None:
    kept = tmp_path / "kept"
    if obstacle == "file for folder":
        kept.touch()
    elif obstacle == "folder for file":
        os.makedirs(index(kept, context).path)
    else:
        kept.touch()
        kept = kept / "deeper"
    told: list[str] = []
    found = Resting(str(kept), str(context), notice=told.append, clock=lambda: NOW, find_ground=lambda _: b"here")

    for name in ("a", "b"):
        found.record(name, OLD, DIGEST)
        found.save()

    assert found.lookup("a", OLD) == DIGEST
    assert len(told) == 1
    assert "sources are read again" in told[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told_and_harms_nothing(tmp_path: Path, context: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o500)
    told: list[str] = []
    found = Resting(str(kept), str(context), notice=told.append, clock=lambda: NOW, find_ground=lambda _: b"here")
    found.record("a", OLD, DIGEST)

    found.save()

    assert "Permission denied" in told[0]
    assert os.listdir(kept) == []


def test_nobody_needs_to_listen(tmp_path: Path, context: Path) -> None:
    (tmp_path / "kept").touch()
    found = index(tmp_path / "kept", context)
    found.record("a", OLD, DIGEST)

    found.save()


def test_old_leftovers_of_killed_builds_are_removed(kept: Path, context: Path) -> None:
    name = os.path.basename(index(kept, context).path)
    kept.mkdir(parents=True)
    for leftover in (f".{name}.old.tmp", f".{name}.new.tmp", ".other.old.tmp"):
        (kept / leftover).touch()
        if "old" in leftover:
            os.utime(kept / leftover, (1, 1))

    saved(kept, context)

    assert sorted(os.listdir(kept)) == sorted([f".{name}.new.tmp", ".other.old.tmp", name])


WRITER = """
import sys
from kubeimage.context.statindex import StatIndex
from kubeimage.layer.entry import FileIdentity
kept, context, number = sys.argv[1:]
for turn in range(40):
    index = StatIndex(
        kept, context, clock=lambda: 2**60, find_ground=lambda _: b"here", at_rest=lambda _path, _identity: True
    )
    for name in range(50):
        path, identity = f"{number}-{turn}-{name}", FileIdentity(1, 1, 1, 1, 1)
        index.expect(path, identity)
        index.record(path, identity, number.encode() * 32)
    index.save()
"""


def test_two_processes_never_leave_a_torn_index(kept: Path, context: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(kept), str(context), number]) for number in "12"]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        if os.path.exists(index(kept, context).path):
            reads += len(index(kept, context)._records) >= 50

    assert [writer.returncode for writer in writers] == [0, 0]
    assert reads > 0
    assert os.listdir(kept) == [os.path.basename(index(kept, context).path)]
    assert len(index(kept, context)._records) >= 50
