"""A stack of layers merged on paper, as the kernel would merge it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.trees import Folder
from kubeimage.layer.apply import HAS_WHITEOUTS
from kubeimage.mount.lower import MergedLayers, is_opaque, opaque_xattr, uncovered, whiteout_folders
from tests.kubeimage.mount.conftest import FolderSnapshots


def merged(*layers: str) -> dict[str, str]:
    """Return path -> the layer that it comes from."""
    found = {}
    with MergedLayers(layers) as tree:
        todo = [("", tree.root)]
        while todo:
            path, stack = todo.pop()
            for name, one in tree.children(stack):
                below = f"{path}/{name}".lstrip("/")
                found[below] = next(os.path.basename(layer) for layer in layers if one.path.startswith(layer + "/"))
                if one.is_directory:
                    todo.append((below, one.stack))
    return found


@pytest.fixture
def layer(snapshots: FolderSnapshots) -> Callable[..., Any]:
    return lambda name, tree: snapshots.path(snapshots.add(name, tree))


def hide(path: str) -> None:
    os.mknod(path, 0o20000, os.makedev(0, 0))


def make_opaque(path: str) -> None:
    os.setxattr(path, opaque_xattr(), b"y")


def test_the_topmost_layer_that_has_a_path_shows(layer: Callable[..., Any]) -> None:
    low, top = layer("low", {"d/a": "", "d/b": ""}), layer("top", {"d/b": "", "e": ""})

    assert merged(low, top) == {"d": "top", "d/a": "low", "d/b": "top", "e": "top"}


def test_a_whiteout_hides_what_is_below_it_and_not_what_is_above(layer: Callable[..., Any]) -> None:
    low, middle, top = layer("low", {"d/a": "", "f": ""}), layer("middle", {}), layer("top", {"f": ""})
    hide(f"{middle}/d")
    hide(f"{middle}/f")

    assert merged(low, middle, top) == {"f": "top"}


def test_an_opaque_directory_hides_what_is_below_it(layer: Callable[..., Any]) -> None:
    low, middle, top = layer("low", {"d/a": ""}), layer("middle", {"d/b": ""}), layer("top", {"d/c": ""})
    make_opaque(f"{middle}/d")

    assert merged(low, middle, top) == {"d": "top", "d/b": "middle", "d/c": "top"}


@pytest.mark.parametrize("between", ["file", "whiteout"])
def test_a_directory_does_not_merge_with_one_below_something_else(layer: Callable[..., Any], between: str) -> None:
    low, top = layer("low", {"d/a": ""}), layer("top", {"d/b": ""})
    middle = layer("middle", {"d": ""} if between == "file" else {})
    if between == "whiteout":
        hide(f"{middle}/d")

    assert merged(low, middle, top) == {"d": "top", "d/b": "top"}


def test_a_symlink_hides_a_directory_and_is_not_followed(layer: Callable[..., Any], tmp_path: Path) -> None:
    low, top = layer("low", {"d/a": ""}), layer("top", {})
    os.symlink(tmp_path, f"{top}/d")

    assert merged(low, top) == {"d": "top"}


def test_layers_below_an_opaque_root_and_repeated_ones_are_left_out(layer: Callable[..., Any]) -> None:
    first, second, third = layer("1", {}), layer("2", {}), layer("3", {})

    assert uncovered([first, second, first, third, second]) == [first, third, second]
    make_opaque(third)
    assert uncovered([first, second, third, first]) == [third, first]


def test_directories_are_as_closed_afterwards_as_they_were(layer: Callable[..., Any]) -> None:
    low = layer("low", {"d": Folder(0), "e": Folder(0o300)})

    assert merged(low) == {"d": "low", "e": "low"}
    assert [f"{os.stat(f'{low}/{name}').st_mode:o}" for name in "de"] == ["40000", "40300"]


def test_what_cannot_be_looked_at_is_not_opaque(tmp_path: Path) -> None:
    assert not is_opaque(str(tmp_path / "missing"))


def test_folders_with_whiteouts_are_found_where_the_layer_says_that_there_are_any(layer: Callable[..., Any]) -> None:
    path = layer("one", {"a/b/x": "", "c/y": "", "d": None})
    for name in ("a/b/gone", "d/gone", "gone"):
        hide(f"{path}/{name}")
    before = whiteout_folders(path)

    os.setxattr(path, f"{opaque_xattr().partition('.')[0]}.{HAS_WHITEOUTS}", b"y")

    assert before == ()
    assert sorted(whiteout_folders(path)) == ["a/b", "d"]


def test_a_folder_that_lets_nobody_in_has_none(layer: Callable[..., Any]) -> None:
    path = layer("one", {"a/x": "", "b/y": ""})
    for name in ("a/gone", "b/gone"):
        hide(f"{path}/{name}")
    os.setxattr(path, f"{opaque_xattr().partition('.')[0]}.{HAS_WHITEOUTS}", b"y")
    os.chmod(f"{path}/a", 0o400)

    found = sorted(whiteout_folders(path))

    os.chmod(f"{path}/a", 0o755)
    assert found == (["a", "b"] if os.geteuid() == 0 else ["b"])
