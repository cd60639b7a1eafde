import os
from pathlib import Path

import pytest

from harness.faults.faults import dies_at
from harness.faults.iocalls import WRITING
from kubeimage.disk import wholefile
from kubeimage.disk.wholefile import whole_file


def write(path: Path, data: bytes) -> None:
    with whole_file(str(path)) as file:
        file.write(data)


@pytest.fixture(params=["nameless", "named"], autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files without a name, and a filesystem that has none."""
    if request.param == "named":
        monkeypatch.setattr(wholefile, "_open_nameless", lambda _: None)


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path, left = tmp_path / "a.tar", set[str]()
    path.write_bytes(b"old")
    number = 0

    while dies_at(number, lambda: write(path, b"new"), among=WRITING):
        assert path.read_bytes() in {b"old", b"new"}
        left |= {name for name in os.listdir(tmp_path) if name != "a.tar"}
        path.write_bytes(b"old")
        number += 1
    write(path, b"new")

    assert len(left) > 0
    assert os.listdir(tmp_path) == ["a.tar"]
    assert path.read_bytes() == b"new"


def test_writers_side_by_side_leave_each_other_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"

    with whole_file(str(path)) as first:
        first.write(b"first")
        write(path, b"second")
        assert path.read_bytes() == b"second"

    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a.tar"]


def test_a_writer_that_is_about_to_end_is_left_alone_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, replace, others = tmp_path / "a.tar", os.replace, list[str]()
    path.write_bytes(b"old")

    def replace_later(source: str, target: str) -> None:
        if not others:
            others.append(source)
            write(path, b"second")
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_later)

    write(path, b"first")

    assert len(others) == 1
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a.tar"]


def test_other_hidden_files_are_nobodys_leftovers(tmp_path: Path) -> None:
    names = {".a.tar.sig", ".a.tar.swp", ".a.tar.1234567890abcdef", ".b.tar.kubeimage-x"}
    for name in names:
        (tmp_path / name).write_text("")

    write(tmp_path / "a.tar", b"new")

    assert set(os.listdir(tmp_path)) == {*names, "a.tar"}
