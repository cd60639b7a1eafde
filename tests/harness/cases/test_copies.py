import os
import socket
import stat
from pathlib import Path

import pytest

from harness.cases.copies import copy_context
from harness.trees import Fifo, File, Folder, HardLink, Link, write_tree


def describe(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return all that a copy shares with its original."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        target = os.readlink(path) if path.is_symlink() else ""
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_nlink, content, target)
    return found


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    write_tree(
        str(folder),
        {
            "a": File("1", 0o4711),
            "b": HardLink("a"),
            "dir": Folder(0o555),
            "dir/file": "x" * 10_000,
            "link": Link("../nowhere"),
            "pipe": Fifo(),
            "empty/": None,
        },
    )
    return folder


def test_a_copy_has_the_same_names_modes_content_and_links(context: Path, tmp_path: Path) -> None:
    copy_context(str(context), str(tmp_path / "copy"))

    assert describe(tmp_path / "copy") == describe(context)


def test_a_copy_has_other_times_and_as_root_another_owner(context: Path, tmp_path: Path) -> None:
    copy_context(str(context), str(tmp_path / "copy"))

    before, after = (context / "dir/file").stat(), (tmp_path / "copy/dir/file").stat()
    assert before.st_mtime_ns != after.st_mtime_ns
    assert (before.st_uid != after.st_uid) is (os.geteuid() == 0)


def test_an_undisguised_copy_keeps_times_and_owners(context: Path, tmp_path: Path) -> None:
    copy_context(str(context), str(tmp_path / "copy"), disguised=False)

    before, after = (context / "dir/file").stat(), (tmp_path / "copy/dir/file").stat()
    assert (before.st_mtime_ns, before.st_uid) == (after.st_mtime_ns, after.st_uid)


def test_sockets_and_what_is_to_be_left_out_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(str(tmp_path / "context"), {"keep": "", "out/copy/deep": ""})
    monkeypatch.chdir(tmp_path / "context")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        copy_context(str(tmp_path / "context"), str(tmp_path / "copy"), leave_out=str(tmp_path / "context" / "out"))

    assert sorted(os.listdir(tmp_path / "copy")) == ["keep"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_what_cannot_be_read_is_empty_in_the_copy(tmp_path: Path) -> None:
    write_tree(str(tmp_path / "context"), {"secret": File("x", 0o000), "closed/file": "", "closed": Folder(0o000)})
    try:
        copy_context(str(tmp_path / "context"), str(tmp_path / "copy"))
    finally:
        (tmp_path / "context/closed").chmod(0o700)

    assert (tmp_path / "copy/secret").stat().st_size == 0
    assert stat.S_IMODE((tmp_path / "copy/closed").stat().st_mode) == 0
    (tmp_path / "copy/closed").chmod(0o700)
    assert os.listdir(tmp_path / "copy/closed") == []
