"""The copy: what the contract for all mounters does not ask."""

import os
from pathlib import Path
from typing import Never

import pytest

from harness.trees import Content, Fifo, File, Folder, HardLink, Link
from kubeimage.errors import KubeimageError, MountError, StoreFullError
from kubeimage.mount import copymounter, merge
from kubeimage.mount.copymounter import CopyMounter
from tests.kubeimage.mount.conftest import FolderSnapshots

TREE: dict[str, Content] = {
    "d": Folder(0o750),
    "d/x": File("x", 0o640),
    "s": File("s", 0o4755),
    "l": Link("d/x"),
    "p": Fifo(0o600),
    "h": HardLink("d/x"),
}


def listing(root: str) -> dict[str, str]:
    found = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            full = os.path.join(folder, name)
            found[os.path.relpath(full, root)] = f"{os.lstat(full).st_mode:o}"
    return found


def test_the_copy_looks_like_the_layers(snapshots: FolderSnapshots) -> None:
    stack = [snapshots.add("base", TREE), snapshots.add("top", {"d": Folder(0o700), "d/y": "y", "l": "no link"})]

    with CopyMounter(snapshots).mount(stack) as mount:
        found = listing(mount.rootfs)

    assert found == {
        "d": "40700", "d/x": "100640", "d/y": "100644", "h": "100640", "l": "100644", "p": "10600", "s": "104755",
    }  # fmt: skip


def test_changing_one_name_of_a_hard_link_leaves_the_layer_and_the_other_name(snapshots: FolderSnapshots) -> None:
    base = snapshots.add("base", TREE)

    with CopyMounter(snapshots).mount([base]) as mount:
        with open(f"{mount.rootfs}/h", "a") as file:
            file.write("more")
        changes = mount.changes()

    assert [entry.path for entry in changes] == ["h"]
    with open(f"{snapshots.path(base)}/d/x") as file:
        assert file.read() == "x"


def test_what_has_still_its_times_is_not_read(snapshots: FolderSnapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    base = snapshots.add("base", {f"d/{number}": "x" for number in range(20)})

    with CopyMounter(snapshots).mount([base]) as mount:
        looked_at = []
        monkeypatch.setattr(copymounter, "_TICK_NS", -1)
        monkeypatch.setattr("kubeimage.mount.survey._same_content", lambda *pair: looked_at.append(pair) or True)
        with open(f"{mount.rootfs}/d/3", "w") as file:
            file.write("x")

        assert mount.changes() == []
        assert [old.path for old, _ in looked_at] == ["d/3"]


def test_a_change_as_soon_as_the_copy_is_made_is_seen(snapshots: FolderSnapshots) -> None:
    base = snapshots.add("base", {"f": "1"})

    for content in "23456789":
        with CopyMounter(snapshots).mount([base]) as mount:
            descriptor = os.open(f"{mount.rootfs}/f", os.O_WRONLY)
            os.write(descriptor, content.encode())
            os.close(descriptor)

            assert [entry.path for entry in mount.changes()] == ["f"]


@pytest.mark.parametrize("number", [0, 5, 100_000])
def test_a_file_system_without_copies_in_the_kernel_gets_plain_ones(
    snapshots: FolderSnapshots, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_arguments: int) -> Never:
        raise OSError(18, "Invalid cross-device link")

    base = snapshots.add("base", {"f": b"12345" * number})
    monkeypatch.setattr(os, "copy_file_range", refuse)

    with CopyMounter(snapshots).mount([base]) as mount, open(f"{mount.rootfs}/f", "rb") as file:
        assert file.read() == b"12345" * number


@pytest.mark.parametrize(("number", "error"), [(28, StoreFullError), (5, MountError)], ids=["full", "broken"])
def test_a_copy_that_fails_says_where_and_leaves_nothing(
    snapshots: FolderSnapshots, monkeypatch: pytest.MonkeyPatch, number: int, error: type[KubeimageError]
) -> None:
    def fail(*_arguments: str) -> Never:
        raise OSError(number, os.strerror(number), "f")

    base = snapshots.add("base", {"f": "f"})
    monkeypatch.setattr(merge, "_copy_content", fail)

    with pytest.raises(error, match="cannot copy the layers to"), CopyMounter(snapshots).mount([base]):
        pass

    assert snapshots.left_over() == []


def test_a_device_in_the_copy_is_refused(snapshots: FolderSnapshots) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes devices")
    with CopyMounter(snapshots).mount([]) as mount:
        os.mknod(f"{mount.rootfs}/null", 0o20666, os.makedev(1, 3))

        with pytest.raises(Exception, match="'null', which is a character device"):
            mount.changes()


def test_a_failed_runs_tree_can_be_kept(snapshots: FolderSnapshots, tmp_path: Path) -> None:
    with CopyMounter(snapshots).mount([snapshots.add("base", TREE)]) as mount:
        os.remove(f"{mount.rootfs}/l")
        mount.keep(str(tmp_path / "kept"))

    assert listing(str(tmp_path / "kept")) == listing_without(snapshots, "l")


def listing_without(snapshots: FolderSnapshots, name: str) -> dict[str, str]:
    found = listing(f"{snapshots.root}/base")
    del found[name]
    return found
