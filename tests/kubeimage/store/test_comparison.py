"""A snapshot is what its layer holds, byte for byte: whatever the size, wherever it differs, in each property."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.trees import Content, File, Folder, HardLink, Link, write_tree
from kubeimage.layer.entry import Entry, canonical_order, directory, file, symlink
from kubeimage.layer.writer import write_layer
from kubeimage.store import comparison
from kubeimage.store.comparison import first_difference

PIECE = 8
SIZES = (0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 3 * PIECE)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "_PIECE", PIECE)


def tar_of(*entries: Entry) -> io.BytesIO:
    tar = io.BytesIO()
    write_layer(canonical_order(entries), tar.write)
    tar.seek(0)
    return tar


@pytest.mark.parametrize("size", SIZES)
def test_a_byte_that_differs_is_found_wherever_it_is(size: int, tmp_path: Path) -> None:
    data = bytes(range(size))
    path = tmp_path / "f"
    path.write_bytes(data)
    path.chmod(0o644)
    assert first_difference(str(tmp_path), tar_of(file("f", data))) is None

    for place in range(size):
        other = bytearray(data)
        other[place] ^= 0x80
        assert first_difference(str(tmp_path), tar_of(file("f", bytes(other)))) == "'f' has another content", place


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("longer", [1, PIECE], ids=["a byte", "a piece"])
def test_another_length_is_found_whichever_is_longer(size: int, longer: int, tmp_path: Path) -> None:
    for there, meant in ((size, size + longer), (size + longer, size)):
        path = tmp_path / "f"
        path.write_bytes(b"x" * there)
        path.chmod(0o644)

        assert first_difference(str(tmp_path), tar_of(file("f", b"x" * meant))) == "'f' has another content"


ENTRIES = (directory("d", 0o750), file("d/a", b"1"), file("d/tool", b"2", 0o4755), symlink("l", "d/a"))
TREE: dict[str, Content] = {"d": Folder(0o750), "d/a": "1", "d/tool": File("2", 0o4755), "l": Link("d/a")}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: os.chmod(root / "d/tool", 0o755), "'d/tool' has the mode 755 instead of 4755"),
        (lambda root: os.chmod(root / "d", 0o1750), "'d' has the mode 1750 instead of 750"),
        (lambda root: os.chmod(root / "d/a", 0o600), "'d/a' has the mode 600 instead of 644"),
        (lambda root: (root / "d/a").unlink(), "'d/a' is missing"),
        (lambda root: (root / "d/b").write_text(""), "'d/b' is not in the layer"),
        (lambda root: (root / "d/e").mkdir(), "'d/e' is not in the layer"),
        (lambda root: ((root / "l").unlink(), (root / "l").symlink_to("d/b")), "'l' points elsewhere"),
        (lambda root: ((root / "l").unlink(), (root / "l").write_text("1")), "'l' is no symlink"),
        (lambda root: ((root / "d/a").unlink(), (root / "d/a").symlink_to("tool")), "'d/a' is no file"),
    ],
    ids=["set-user-id", "sticky", "mode", "missing", "file too many", "folder too many", "target", "file", "link"],
)
def test_each_kind_of_difference_is_told(change: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_tree(str(root), TREE)
    assert first_difference(str(root), tar_of(*ENTRIES)) is None

    change(root)

    assert first_difference(str(root), tar_of(*ENTRIES)) == said


def test_hard_links_are_looked_at_as_files(tmp_path: Path) -> None:
    write_tree(str(tmp_path / "root"), {"a": "1", "b": HardLink("a")})

    assert first_difference(str(tmp_path / "root"), tar_of(file("a", b"1"), file("b", b"1"))) is None
