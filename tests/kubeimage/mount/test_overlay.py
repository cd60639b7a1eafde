"""The kernel's overlay: what the contract for all mounters does not ask."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.trees import File, Folder
from kubeimage.errors import MountError
from kubeimage.layer.entry import Kind
from kubeimage.mount import overlay, tools
from kubeimage.mount.overlay import MOST_OPTIONS, OverlayMount, OverlayMounter
from tests.kubeimage.mount.conftest import FolderSnapshots


def behind(mount: OverlayMount, script: str) -> str:
    done = subprocess.run([*mount.prefix, "/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("count", [0, 1, 41, 42, 127, 128])
def test_as_many_layers_as_an_image_may_have_mount_in_the_oddest_of_places(
    long_path: Callable[[], FolderSnapshots], count: int
) -> None:
    snapshots = long_path()
    stack = [snapshots.add(f"{number}-{'n' * 60}", {"who": str(number), f"d/{number}": ""}) for number in range(count)]

    with OverlayMounter(snapshots).mount(stack) as mount:
        seen = behind(mount, "ls m/d 2>/dev/null | wc -l; cat m/who 2>/dev/null; echo x > m/new")

        assert seen.split() == [str(count), *[str(count - 1)] * (count > 0)]
        assert [(one.path, one.kind) for one in mount.changes()] == [("new", Kind.FILE)]
    assert len(snapshots.root) > 200


def test_more_layers_than_the_options_hold_are_refused_before_anything_runs(snapshots: FolderSnapshots) -> None:
    stack = [snapshots.add(str(number), {}) for number in range(900)]

    message = rf"900 layers make \d+ bytes of mount options, {MOST_OPTIONS} are possible"
    with pytest.raises(MountError, match=message), OverlayMounter(snapshots).mount(stack):
        pass

    assert snapshots.left_over() == []


def test_a_layer_is_linked_once_for_all_mounts(snapshots: FolderSnapshots) -> None:
    """Links take time: 127 for each of 127 commands would be 16,000."""
    stack = [snapshots.add(str(number), {f"f{number}": ""}) for number in range(5)]
    mounter = OverlayMounter(snapshots)

    for count in range(6):
        with mounter.mount(stack[:count]) as mount:
            assert behind(mount, "ls m").split() == [f"f{number}" for number in range(count)]

    assert len(os.listdir(snapshots.workspace())) == 5


def test_nobody_else_sees_the_mount(snapshots: FolderSnapshots) -> None:
    stack = [snapshots.add("base", {"top": "t"})]

    with OverlayMounter(snapshots).mount(stack) as mount:
        inside = behind(mount, "cat /proc/self/mountinfo")
        with open("/proc/self/mountinfo") as file:
            outside = file.read()

        assert " overlay overlay " in inside
        assert snapshots.root not in outside
        assert os.listdir(mount.rootfs) == []


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_nothing_of_a_mount_is_left(snapshots: FolderSnapshots, error: type[BaseException] | None) -> None:
    base = snapshots.add("base", {"d": Folder(0o555), "d/f": "f"})
    snapshots.workspace()
    before = os.listdir(snapshots.root)

    def work() -> None:
        with OverlayMounter(snapshots).mount([base]) as mount:
            behind(mount, "mkdir -p m/a/b; echo x > m/a/b/c; chmod 0 m/a/b m/a m/d")
            if error is not None:
                raise error

    if error is not None:
        with pytest.raises(error):
            work()
    else:
        work()

    assert os.listdir(snapshots.root) == before


def test_layers_are_not_touched(snapshots: FolderSnapshots) -> None:
    base = snapshots.add("base", {"d/f": File("f", 0o640), "top": "t"})
    before = [(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(snapshots.path(base))]

    with OverlayMounter(snapshots).mount([base]) as mount:
        behind(mount, "rm -r m/d; echo x > m/top; chmod 700 m")

    assert [(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(snapshots.path(base))] == before


def test_what_works_is_found_out_once(snapshots: FolderSnapshots) -> None:
    mounter = OverlayMounter(snapshots)
    with mounter.mount([]), mounter.mount([]):
        pass

    again = snapshots.scratches
    with mounter.mount([]):
        pass

    assert snapshots.scratches == again + 1


def test_a_kernel_that_knows_fewer_options_is_given_fewer(
    snapshots: FolderSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlay, "_UNSYNCED", ("no_such_option",))

    assert "no_such_option" not in OverlayMounter(snapshots).probe()


def test_a_kernel_that_refuses_says_why_and_what_to_do(
    snapshots: FolderSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = iter(["mount: first reason", "mount: second", "mount: third"])
    monkeypatch.setattr(overlay, "try_command", lambda _argv: next(reasons))

    with pytest.raises(MountError, match="overlay mounts do not work here: mount: first reason") as caught:
        OverlayMounter(snapshots).probe()

    assert "--mount=copy" in (caught.value.hint or "")
    assert snapshots.left_over() == []


def test_what_the_kernel_says_is_handed_on(snapshots: FolderSnapshots) -> None:
    with OverlayMounter(snapshots).mount([]) as mount:
        os.rmdir(f"{mount.scratch}/w")

        assert "w" in (tools.try_command([*mount.prefix, "true"]) or "")


def test_a_host_without_the_programs_is_told_which(snapshots: FolderSnapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_SYSTEM_PATH", "/nowhere")

    with pytest.raises(MountError, match="'unshare'"):
        OverlayMounter(snapshots).probe()


def test_an_overlay_that_does_not_record_deletions_is_not_taken(
    snapshots: FolderSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlay, "try_command", lambda _argv: None)

    with pytest.raises(MountError, match="does not record"):
        OverlayMounter(snapshots).probe()


def test_a_failed_runs_tree_can_be_kept(snapshots: FolderSnapshots, tmp_path: Path) -> None:
    base = snapshots.add("base", {"d/x": "x", "d/y": "y", "top": File("t", 0o600)})

    with OverlayMounter(snapshots).mount([base]) as mount:
        behind(mount, "cd m && rm d/x && echo n > d/n && mkfifo p && ln -s d l")
        mount.keep(str(tmp_path / "kept"))

    kept = {path.relative_to(tmp_path / "kept").as_posix() for path in (tmp_path / "kept").rglob("*")}
    assert kept == {"d", "d/y", "d/n", "l", "p", "top"}
    assert (tmp_path / "kept/top").stat().st_mode & 0o777 == 0o600
