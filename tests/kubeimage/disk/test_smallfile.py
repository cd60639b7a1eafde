"""Small files from somebody else: what is no plain file of the folder is refused at once, and nothing is waited for."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeimage.disk.smallfile import is_within, read_small


def make_link(path: Path, target: str) -> None:
    path.symlink_to(target)


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "an endless device": (lambda path: make_link(path, "/dev/zero"), "leads out"),
    "a file of the host": (lambda path: make_link(path, "/etc/passwd"), "leads out"),
    "a file beside the folder": (lambda path: make_link(path, "../secret"), "leads out"),
    "a link to a link": (lambda path: (make_link(path, "next"), make_link(path.parent / "next", "../secret")), "leads"),
    "a named pipe": (os.mkfifo, "a named pipe"),
    "a folder": (os.mkdir, "a folder"),
    "too much": (lambda path: path.write_bytes(bytes(1001)), "more than 1000 bytes"),
    "nothing": (lambda _path: None, "No such file"),
    "a link to nothing": (lambda path: make_link(path, "nowhere"), "No such file"),
}


@pytest.mark.parametrize(("make", "reason"), ODD.values(), ids=ODD)
def test_what_is_no_plain_file_of_the_folder_is_refused(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "context"
    folder.mkdir()
    make(folder / "file")

    with pytest.raises(OSError, match=reason):
        read_small(str(folder / "file"), within=str(folder), most=1000)


@pytest.mark.parametrize("kind", [os.mkfifo, lambda path: make_link(path, "/dev/zero")], ids=["pipe", "device"])
def test_a_file_that_was_named_may_lie_anywhere_and_is_a_plain_one(
    tmp_path: Path, kind: Callable[[Path], object]
) -> None:
    kind(tmp_path / "odd")
    (tmp_path / "plain").write_text("text")

    assert read_small(str(tmp_path / "plain")) == b"text"
    with pytest.raises(OSError, match="where a file is expected"):
        read_small(str(tmp_path / "odd"))


def test_what_a_shell_hands_over_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"FROM scratch\n")
    os.close(writing)

    assert read_small(f"/dev/fd/{reading}") == b"FROM scratch\n"
    os.close(reading)


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("text")
    make_link(tmp_path / "file", "real")

    assert read_small(str(tmp_path / "file"), within=str(tmp_path)) == b"text"
    assert not is_within(f"{tmp_path}x", str(tmp_path))


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_a_file_may_be_as_large_as_said_and_no_byte_larger(over: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * (100 + over))

    if over > 0:
        with pytest.raises(OSError, match="more than 100 bytes"):
            read_small(str(tmp_path / "a"), most=100)
    else:
        assert len(read_small(str(tmp_path / "a"), most=100)) == 100 + over


def test_a_file_behind_a_folder_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "within").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a").write_text("text")
    make_link(tmp_path / "within/folder", "../outside")

    with pytest.raises(OSError, match="leads out of"):
        read_small(str(tmp_path / "within/folder/a"), within=str(tmp_path / "within"))
