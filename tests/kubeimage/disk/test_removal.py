import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeimage.disk.removal import remove_tree
from kubeimage.errors import StoreAccessError


def test_what_is_not_there_is_removed_already(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "no"))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text("x"),
        lambda path: path.symlink_to("nowhere"),
        os.mkfifo,
        lambda path: path.mkdir(),
        lambda path: path.mkdir(0),
    ],
    ids=["file", "dangling symlink", "fifo", "directory", "closed directory"],
)
def test_anything_is_removed(tmp_path: Path, make: Callable[..., Any]) -> None:
    make(tmp_path / "x")

    remove_tree(str(tmp_path / "x"))

    assert list(tmp_path.iterdir()) == []


def test_symlinks_are_removed_and_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    top = tmp_path / "top"
    (top / "d").mkdir(parents=True)
    (top / "to-directory").symlink_to(kept)
    (top / "d" / "to-file").symlink_to(kept / "file")
    (tmp_path / "itself").symlink_to(kept)

    remove_tree(str(top))
    remove_tree(str(tmp_path / "itself"))

    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (kept / "file").read_text() == "x"


def test_directories_that_let_nobody_in_are_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    for name in ("a", "b", "c"):
        (top / name / "deeper").mkdir(parents=True)
        (top / name / "deeper" / "file").write_text("x")
    (top / "a" / "deeper").chmod(0)
    (top / "b").chmod(0o555)
    (top / "c").chmod(0o200)
    top.chmod(0o500)

    remove_tree(str(top))

    assert not top.exists()


def test_a_tree_deeper_than_any_path_and_any_recursion_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper", dir_fd=here)
        deeper = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)

    remove_tree(str(top))

    assert not top.exists()


def test_many_siblings_on_many_levels_are_removed(tmp_path: Path) -> None:
    for first in range(6):
        for second in range(6):
            (tmp_path / "top" / f"{first}" / f"{second}" / "x").mkdir(parents=True)
            (tmp_path / "top" / f"{first}" / f"{second}" / "f").write_text("x")

    remove_tree(str(tmp_path / "top"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root can remove everything")
def test_what_cannot_be_removed_is_named(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("x")
    (tmp_path / "d").chmod(0o500)

    with pytest.raises(StoreAccessError, match=r"cannot remove .*d/x.*Permission denied"):
        remove_tree(str(tmp_path / "d" / "x"))
    (tmp_path / "d").chmod(0o700)
