import os
from pathlib import Path

import pytest

from harness.faults.faults import dies_at
from harness.faults.iocalls import WRITING
from kubeimage.disk.replacing import replace_file


def test_a_file_is_replaced_and_has_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    before = os.umask(0o077)
    try:
        replace_file(str(target), b"new", mode=0o644)
    finally:
        os.umask(before)

    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"new", 0o644)
    assert os.listdir(tmp_path) == ["file"]


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))

    with pytest.raises(OSError, match="full"):
        replace_file(str(target), b"new")

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


@pytest.mark.parametrize("call", range(1, 6))
def test_whoever_reads_sees_a_whole_file_however_early_the_writer_dies(tmp_path: Path, call: int) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    dies_at(call, lambda: replace_file(str(target), b"new", durable=True), among=WRITING)

    assert target.read_text() in {"old", "new"}


@pytest.mark.parametrize("name", ["a", "i" * 250, "i" * 255, "é" * 127, "漢" * 85, "😀" * 63], ids=len)
def test_a_file_of_any_name_is_replaced(tmp_path: Path, name: str) -> None:
    for data in (b"1", b"2"):
        replace_file(str(tmp_path / name), data)

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"2"
