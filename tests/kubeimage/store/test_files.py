"""Small things that the store does with files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kubeimage.store.files import tree_size, try_remove_tree


def make_tree(path: Path) -> None:
    (path / "a" / "b").mkdir(parents=True)
    (path / "a" / "f").write_bytes(b"12345")
    (path / "a" / "b" / "same").hardlink_to(path / "a" / "f")
    (path / "dangling").symlink_to("nowhere")


THINGS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "a file": lambda path: path.write_text(""),
    "a symlink": lambda path: path.symlink_to("."),
    "an empty folder": Path.mkdir,
    "a tree": make_tree,
}


@pytest.mark.parametrize("make", THINGS.values(), ids=THINGS)
def test_whatever_was_there_is_gone_and_said_to_be(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "x")

    assert try_remove_tree(str(tmp_path / "x")) is True
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_is_said_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path / "x")
    monkeypatch.setattr("kubeimage.store.files._has_mount", lambda _: True)

    assert try_remove_tree(str(tmp_path / "x")) is False
    assert (tmp_path / "x" / "a" / "f").exists()


def test_the_size_of_a_tree_counts_each_file_once_and_only_where_all_its_names_are_in_it(tmp_path: Path) -> None:
    make_tree(tmp_path / "x")
    assert tree_size(str(tmp_path / "x")) == 5 + len("nowhere")

    (tmp_path / "outside").hardlink_to(tmp_path / "x" / "a" / "f")
    assert tree_size(str(tmp_path / "x")) == len("nowhere")
