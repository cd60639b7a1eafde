"""Mounts in memory: what they record, and how they fail where they are told to."""

import pytest

from harness.cases.building import KubeBuild
from harness.contracts import CHANGESET, one_file
from harness.fakes.mounts import MemoryMounter
from harness.fakes.runner import FakeRunner
from harness.fakes.stores import MemoryLayerStore
from kubeimage.errors import MountError
from kubeimage.layer.entry import directory, file, opaque, whiteout

LOWER = [directory("etc"), file("etc/a", b"1"), file("etc/b", b"2"), file("top", b"t")]


def actions(mounter: MemoryMounter) -> list[str]:
    return [event.action for event in mounter.events]


def test_a_mount_and_its_end_are_recorded_with_their_layers(
    fake_mounts: MemoryMounter, layer_store: MemoryLayerStore
) -> None:
    stack = [layer_store.put(one_file(content)).diff_id for content in (b"1", b"2")]

    with fake_mounts.mount(stack):
        assert (actions(fake_mounts), fake_mounts.mounted) == (["mount"], 1)

    assert (actions(fake_mounts), fake_mounts.mounted) == (["mount", "unmount"], 0)
    assert {event.layers for event in fake_mounts.events} == {tuple(stack)}


@pytest.mark.parametrize(
    ("upper", "expected"),
    [
        ([directory("etc"), whiteout("etc/a")], ["etc", "etc/b", "top"]),
        ([whiteout("etc")], ["top"]),
        ([directory("etc"), opaque("etc"), file("etc/c", b"3")], ["etc", "etc/c", "top"]),
        ([opaque(""), file("new", b"n")], ["new"]),
        ([file("etc", b"no folder")], ["etc", "top"]),
    ],
    ids=["whiteout", "whiteout of a folder", "opaque folder", "opaque root", "other type"],
)
def test_layers_are_merged_as_an_overlay_merges_them(
    fake_mounts: MemoryMounter, layer_store: MemoryLayerStore, upper: list[object], expected: list[str]
) -> None:
    stack = [layer_store.put(layer).diff_id for layer in (LOWER, upper)]  # type: ignore[arg-type]

    with fake_mounts.mount(stack) as mount:
        assert sorted(mount.tree) == expected
        assert mount.changes() == []


def test_a_refused_mount_is_recorded_and_nothing_is_mounted(fake_mounts: MemoryMounter) -> None:
    fake_mounts.refuse("no such device", times=1)

    with pytest.raises(MountError, match="cannot mount: no such device"), fake_mounts.mount([]):
        pytest.fail("it was mounted")
    with fake_mounts.mount([]):
        pass

    assert actions(fake_mounts) == ["refuse", "mount", "unmount"]


@pytest.mark.parametrize(("trouble", "reason"), [("fail_unmount", "Input/output error"), ("be_busy", "busy")])
def test_what_cannot_be_unmounted_stays_mounted(fake_mounts: MemoryMounter, trouble: str, reason: str) -> None:
    getattr(fake_mounts, trouble)(times=1)

    with pytest.raises(MountError, match=f"cannot unmount: .*{reason}"), fake_mounts.mount([]):
        pass
    with fake_mounts.mount([]):
        pass

    assert actions(fake_mounts) == ["mount", "fail to unmount", "mount", "unmount"]
    assert fake_mounts.mounted == 1


def test_an_error_within_unmounts(fake_mounts: MemoryMounter) -> None:
    with pytest.raises(KeyError), fake_mounts.mount([]):
        raise KeyError

    assert actions(fake_mounts) == ["mount", "unmount"]


def test_changes_must_be_asked_for_while_it_is_mounted(
    fake_mounts: MemoryMounter, layer_store: MemoryLayerStore
) -> None:
    with fake_mounts.mount([layer_store.put(CHANGESET).diff_id]) as mount:
        mount.tree.write("bin/new", "n")

    with pytest.raises(MountError, match="after the rootfs was unmounted"):
        mount.changes()
    assert mount.tree.read("bin/new") == b"n"


TEXT = "FROM scratch\nCOPY a etc\nRUN make\n"


def test_a_build_mounts_its_own_layers(
    kube_build: KubeBuild, fake_mounts: MemoryMounter, fake_runner: FakeRunner
) -> None:
    fake_runner.on("make", lambda tree: tree.write("made", tree.read("etc/a")))

    image = kube_build(TEXT, {"a": "1"}, backend="memory", mounts=fake_mounts, runner=fake_runner)

    assert image.rootfs == {"etc/a": "1", "made": "1"}
    assert actions(fake_mounts) == ["mount", "unmount"]
    assert fake_mounts.events[0].layers == (image.layers[0].diff_id,)


@pytest.mark.parametrize(
    ("trouble", "ends"),
    [("refuse", ["refuse"]), ("fail_unmount", ["mount", "fail to unmount"]), ("be_busy", ["mount", "fail to unmount"])],
)
def test_a_build_whose_mount_fails_makes_no_image(
    kube_build: KubeBuild, fake_mounts: MemoryMounter, fake_runner: FakeRunner, trouble: str, ends: list[str]
) -> None:
    fake_runner.on("make")
    getattr(fake_mounts, trouble)()

    with pytest.raises(MountError, match="mount"):
        kube_build(TEXT, {"a": "1"}, backend="memory", mounts=fake_mounts, runner=fake_runner)

    assert actions(fake_mounts) == ends
