"""Files compared in pieces: whatever their size, and wherever they differ."""

import os
from pathlib import Path

import pytest

from kubeimage.mount import survey
from kubeimage.mount.copymounter import CopyMounter
from tests.kubeimage.mount.conftest import FolderSnapshots

PIECE = 8
SIZES = (0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 3 * PIECE)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_PIECE", PIECE)


@pytest.mark.parametrize("size", SIZES)
def test_a_byte_that_differs_is_seen_wherever_it_is(snapshots: FolderSnapshots, size: int) -> None:
    old = bytes(range(size))
    base = snapshots.add("base", {f"f{place}": old for place in range(size + 1)})

    with CopyMounter(snapshots).mount([base]) as mount:
        for place in range(size):
            new = bytearray(old)
            new[place] ^= 0x80
            Path(mount.rootfs, f"f{place}").write_bytes(new)
        Path(mount.rootfs, f"f{size}").write_bytes(old)

        assert [entry.path for entry in mount.changes()] == sorted(f"f{place}" for place in range(size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("longer", [-1, 1, PIECE], ids=["shorter", "longer", "a piece longer"])
def test_another_length_is_a_change(snapshots: FolderSnapshots, size: int, longer: int) -> None:
    if size + longer < 0:
        pytest.skip("no file is shorter than none")
    base = snapshots.add("base", {"f": b"x" * size})

    with CopyMounter(snapshots).mount([base]) as mount:
        Path(mount.rootfs, "f").write_bytes(b"x" * (size + longer))

        assert [entry.path for entry in mount.changes()] == ["f"]


def test_three_names_of_a_file_are_two_links_to_the_first(snapshots: FolderSnapshots) -> None:
    with CopyMounter(snapshots).mount([]) as mount:
        Path(mount.rootfs, "b").write_bytes(b"x")
        for name in ("c", "a", "d"):
            os.link(f"{mount.rootfs}/b", f"{mount.rootfs}/{name}")

        found = {entry.path: (entry.kind.value, entry.target) for entry in mount.changes()}

    kinds = [kind for kind, _ in found.values()]
    assert list(found) == ["a", "b", "c", "d"]
    assert kinds == ["file", "hard link", "hard link", "hard link"], found
    assert {target for kind, target in found.values() if kind != "file"} == {"a"}
