"""Where control groups are looked for, and where they are made: on folders that look like cgroup file systems."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from kubeimage.run import cgroups
from kubeimage.run.cgroups import Bounds, CgroupError, Hierarchy, groups_for, hierarchies_of

V1 = "42 41 0:30 {root} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
BOTH = "43 41 0:31 {root} /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct"
SPACE = "44 41 0:32 / /sys/fs/my\\040groups rw - cgroup cgroup rw,pids"
OTHER = "45 41 0:33 / /sys rw - sysfs sysfs rw"

# What /proc/self/cgroup says, what is mounted, and where the own group of a controller is then.
PLACES = {
    "the whole tree": ("4:memory:/a/b", V1.format(root="/"), "/sys/fs/cgroup/memory/a/b"),
    "the root": ("4:memory:/", V1.format(root="/"), "/sys/fs/cgroup/memory"),
    "a part of the tree": ("4:memory:/docker/x/b", V1.format(root="/docker/x"), "/sys/fs/cgroup/memory/b"),
    "a part that is the own": ("4:memory:/docker/x", V1.format(root="/docker/x"), "/sys/fs/cgroup/memory"),
    "another part": ("4:memory:/docker/xy", V1.format(root="/docker/x"), None),
    "outside of the namespace": ("4:memory:/../a", V1.format(root="/"), None),
    "not mounted": ("4:memory:/a", OTHER, None),
}


@pytest.mark.parametrize(("line", "mount", "own"), PLACES.values(), ids=PLACES)
def test_the_own_group_is_found_where_it_is_seen(line: str, mount: str, own: str | None) -> None:
    found = hierarchies_of([line], [OTHER, mount])

    assert found.get("memory") == (Hierarchy(1, own, "/sys/fs/cgroup/memory") if own else None)


def test_a_mount_point_may_have_spaces_and_a_tree_several_controllers() -> None:
    found = hierarchies_of(["1:cpu,cpuacct:/a", "8:pids:/a"], [BOTH.format(root="/"), SPACE])

    assert found["cpu"] == found["cpuacct"] == Hierarchy(1, "/sys/fs/cgroup/cpu/a", "/sys/fs/cgroup/cpu")
    assert found["pids"].own == "/sys/fs/my groups/a"


class Unified:
    """A folder that looks like a unified hierarchy: ``top/user/session``, of which this process is in the last."""

    def __init__(self, top: Path) -> None:
        self.top, self.own = top, top / "user/session"
        self.own.mkdir(parents=True)
        for folder in (top, top / "user", self.own):
            (folder / "cgroup.controllers").write_text("cpu memory pids\n")
            (folder / "cgroup.subtree_control").write_text("")
        self.hierarchy = Hierarchy(2, str(self.own), str(top))

    def offer(self, folder: Path, controllers: str) -> None:
        (folder / "cgroup.subtree_control").write_text(controllers)

    def groups(self) -> list[Path]:
        return sorted(one for one in self.top.rglob("kubeimage-*") if one.is_dir())


@pytest.fixture
def unified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unified:
    """A place whose own group has processes, so that no groups can be made below it that count."""
    place = Unified(tmp_path)
    write = cgroups._write

    def written(path: str, text: str) -> None:
        if path == str(place.own / "cgroup.subtree_control"):
            raise OSError(errno.EBUSY, "Device or resource busy")
        write(path, text)

    def removed(folder: str) -> None:
        for one in Path(folder).iterdir():
            one.unlink()
        os.rmdir(folder)

    monkeypatch.setattr(cgroups, "_write", written)
    monkeypatch.setattr(cgroups, "_remove", removed)
    return place


@pytest.mark.parametrize("where", ["user/session", "user", "."])
def test_a_group_is_made_in_the_nearest_one_whose_groups_count(where: str, unified: Unified) -> None:
    unified.offer(unified.top / where, "memory pids")
    hierarchies = dict.fromkeys(("memory", "pids"), unified.hierarchy)

    with groups_for(Bounds(memory=5, pids=7), hierarchies) as made:
        (group,) = unified.groups()
        written = {one.name: one.read_text() for one in group.iterdir()}
        assert made.prefix[-2:] == ("1", str(group))
        assert made.refused() is None
        (group / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n")
        assert made.refused() == "memory"

    assert group.parent == unified.top / where
    assert written == {"memory.max": "5", "pids.max": "7"}
    assert unified.groups() == []


@pytest.mark.parametrize("offered", ["", "memory", "cpu pids"])
def test_where_groups_do_not_count_nothing_is_changed_and_the_cause_is_named(offered: str, unified: Unified) -> None:
    unified.offer(unified.top, offered)
    hierarchies = dict.fromkeys(("memory", "pids"), unified.hierarchy)

    cause = f"no control group can be made in {unified.top}: groups there do not count"
    with pytest.raises(CgroupError, match=cause), groups_for(Bounds(memory=5, pids=7), hierarchies):
        raise AssertionError

    assert unified.groups() == []
    assert (unified.top / "cgroup.subtree_control").read_text() == offered


def test_two_trees_have_a_group_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_remove", lambda _folder: None)
    trees = {name: Hierarchy(1, str(tmp_path / name), str(tmp_path)) for name in ("memory", "pids")}
    for name in trees:
        (tmp_path / name).mkdir()

    with groups_for(Bounds(memory=5, pids=7), trees) as made:
        limits = {path.name: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
        assert made.prefix[4] == "2"
        (pids,) = (tmp_path / "pids").glob("kubeimage-*")
        (pids / "pids.events").write_text("max 2\n")
        assert made.refused() == "pids"

    assert limits == {"memory.limit_in_bytes": "5", "pids.max": "7"}


def test_what_was_left_behind_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    tree = {"pids": Hierarchy(1, str(tmp_path), str(tmp_path))}
    (tmp_path / "kubeimage-left").mkdir()
    (tmp_path / "another").mkdir()

    def folders() -> set[str]:
        return {one.name for one in tmp_path.iterdir()}

    with groups_for(Bounds(pids=7), tree) as first:
        assert "kubeimage-left" not in folders()
        # The kernel's own files are in nobody's way.
        os.unlink(os.path.join(first.folders[0][2], "pids.max"))
        with groups_for(Bounds(pids=7), tree) as second:
            used = {os.path.basename(one.folders[0][2]) for one in (first, second)}
            assert folders() == {"another", *used}
            os.unlink(os.path.join(second.folders[0][2], "pids.max"))
    assert folders() == {"another"}


def test_a_group_that_somebody_took_for_left_over_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    taken: list[str] = []

    def taking(descriptor: int, operation: int) -> None:
        if not taken:
            taken.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            os.rmdir(taken[0])
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", taking)

    with groups_for(Bounds(pids=7), {"pids": Hierarchy(1, str(tmp_path), str(tmp_path))}) as made:
        assert os.path.isdir(made.folders[0][2])
        assert made.folders[0][2] not in taken
        os.unlink(os.path.join(made.folders[0][2], "pids.max"))


def test_without_a_controller_the_cause_is_named() -> None:
    with pytest.raises(CgroupError, match="no control group here counts memory or pids"), groups_for(Bounds(1, 1), {}):
        raise AssertionError
