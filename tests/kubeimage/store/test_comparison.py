"""A snapshot is what its layer holds, byte for byte: whatever the size, wherever it differs, in each property."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.trees import Content, File, Folder, HardLink, Link, write_tree
from kubeimage.layer.apply import unpack_snapshot
from kubeimage.layer.entry import Entry, canonical_order, directory, file, symlink, whiteout
from kubeimage.layer.writer import write_layer
from kubeimage.store import comparison
from kubeimage.store.comparison import first_difference
from tests.kubeimage.store.conftest import as_nobody

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


CLOSED = (
    directory("closed", 0),
    file("closed/a", b"1"),
    directory("closed/b"),
    file("closed/b/c", b"1"),
    whiteout("closed/w"),
    directory("listed", 0o400),
    file("listed/a", b"1"),
    directory("written", 0o200),
    file("written/a", b"1"),
    file("z", b"1"),
    file("secret", b"12", 0o200),
)


@pytest.fixture
def closed(open_path: Path) -> Path:
    """An ordinary user's snapshot, in which folders and a file let nobody in."""
    if os.geteuid() == 0:
        os.chown(open_path, 65534, -1)
    root = open_path / "root"
    with as_nobody():
        root.mkdir()
        unpack_snapshot(str(root), tar_of(*CLOSED), userxattr=True)
    return root


def test_what_shuts_out_an_ordinary_user_is_no_difference(closed: Path) -> None:
    with as_nobody():
        assert first_difference(str(closed), tar_of(*CLOSED)) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: os.chmod(root / "closed", 0o100), "'closed' has the mode 100 instead of 0"),
        (lambda root: os.chmod(root / "secret", 0o600), "'secret' has the mode 600 instead of 200"),
        (lambda root: (root / "z").write_text("2"), "'z' has another content"),
        (lambda root: (root / "more").mkdir(), "'more' is not in the layer"),
    ],
    ids=["a folder is open", "a file is open", "a file behind it", "a folder too many"],
)
def test_what_an_ordinary_user_can_see_is_looked_at(closed: Path, change: Callable[[Path], object], said: str) -> None:
    with as_nobody():
        change(closed)

        assert first_difference(str(closed), tar_of(*CLOSED)) == said


def test_what_only_the_disk_closes_cannot_be_read(closed: Path) -> None:
    with as_nobody(), pytest.raises(PermissionError):
        first_difference(str(closed), tar_of(file("listed/a", b"1")))
