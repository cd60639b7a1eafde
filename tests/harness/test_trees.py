import os
import stat
from pathlib import Path

import pytest

from harness.trees import Content, Fifo, File, Folder, HardLink, Link, clean, write_tree


def test_every_kind_of_content_is_written(tmp_path: Path) -> None:
    write_tree(
        str(tmp_path / "new"),
        {
            "text": "größe",
            "bin/tool": File(b"\0", 0o4755),
            "bin/again": HardLink("bin/tool"),
            "link": Link("bin/tool"),
            "empty/": None,
            "locked": Folder(0o555),
            "locked/in/it": "",
            "pipe": Fifo(0o600),
        },
    )

    root = tmp_path / "new"
    assert (root / "text").read_text() == "größe"
    assert stat.S_IMODE((root / "bin/tool").stat().st_mode) == 0o4755
    assert (root / "bin/again").samefile(root / "bin/tool")
    assert os.readlink(root / "link") == "bin/tool"
    assert os.listdir(root / "empty") == []
    assert stat.S_IMODE((root / "locked").stat().st_mode) == 0o555
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)


def test_a_hard_link_may_stand_before_what_it_links(tmp_path: Path) -> None:
    tree: dict[str, Content] = {"a": HardLink("b"), "b": "x"}

    write_tree(str(tmp_path), tree)

    assert (tmp_path / "a").read_text() == "x"


@pytest.mark.parametrize(
    ("path", "cleaned"), [("/a/b/", "a/b"), ("./a", "a"), ("a//b", "a/b"), ("/", ""), ("...", "...")]
)
def test_what_makes_no_difference_in_a_path_is_left_out(path: str, cleaned: str) -> None:
    assert clean(path) == cleaned


def test_a_path_that_leaves_the_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no '\.\.': 'a/\.\./\.\./b'"):
        write_tree(str(tmp_path), {"a/../../b": ""})


def test_folders_are_0755_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_tree(str(tmp_path / "made"), {"a/b/c": "1", "d": None, "e": Folder(0o700), "e/f/g": "2"})
    finally:
        os.umask(before)

    modes = {name: (tmp_path / "made" / name).stat().st_mode & 0o7777 for name in ("a", "a/b", "d", "e", "e/f")}
    assert modes == {"a": 0o755, "a/b": 0o755, "d": 0o755, "e": 0o700, "e/f": 0o755}
