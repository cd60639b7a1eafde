"""Equal inputs give an equal image: wherever, whenever and whoever builds."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.program import REPOSITORY, Program

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


def copy_backwards(source: Path, target: Path) -> None:
    """Copy a tree, its last names first, so that the folders list them in another order, and with other times."""
    target.mkdir()
    hard_links: dict[int, Path] = {}
    _copy_entries(source, target, hard_links)


def _copy_entries(source: Path, target: Path, hard_links: dict[int, Path]) -> None:
    for entry in sorted(source.iterdir(), reverse=True):
        there, status = target / entry.name, entry.lstat()
        if status.st_nlink > 1 and status.st_ino in hard_links:
            os.link(hard_links[status.st_ino], there)
            continue
        if entry.is_symlink():
            there.symlink_to(os.readlink(entry))
        elif entry.is_dir():
            there.mkdir()
            _copy_entries(entry, there, hard_links)
        elif entry.is_fifo():
            os.mkfifo(there)
        else:
            shutil.copyfile(entry, there)
            hard_links[status.st_ino] = there
        if not entry.is_symlink():
            there.chmod(status.st_mode & 0o7777)
        os.utime(there, (1_000_000_000, 1_234_567_890), follow_symlinks=False)


def build_all(kubeimage: Program, projects: Path) -> dict[str, str]:
    """Build projects that between them use every instruction, and give their images' ids."""
    wanted = {"rootfs": "rootfs:v1", "templated": "metrics:v1", "odd-names": "odd:v1"}
    return {folder: kubeimage.build(name, projects / folder) for folder, name in wanted.items()}


@pytest.fixture(scope="session")
def first(projects: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the ids that one build, the one all others are compared with, gave."""
    folder = tmp_path_factory.mktemp("first")
    return build_all(Program(folder / "store", folder), projects)


ELSEWHERE = {"TZ": "Asia/Kathmandu", "LC_ALL": "POSIX", "PYTHONHASHSEED": "1", "VERSION": "9", "NAMESPACE": "theirs"}


@pytest.mark.parametrize(
    "change",
    [
        lambda program: replace(program, umask=0o077, environment=ELSEWHERE),
        lambda program: replace(program.with_root(program.folder / "a store, with: blanks"), umask=0o000),
    ],
    ids=["umask 077, other environment", "umask 0, odd root"],
)
def test_surroundings_make_no_difference(
    change: Callable[[Program], Program], kubeimage: Program, projects: Path, first: dict[str, str]
) -> None:
    assert build_all(change(kubeimage), projects) == first


def test_another_copy_of_the_context_on_another_day_makes_no_difference(
    kubeimage: Program, projects: Path, first: dict[str, str]
) -> None:
    copied = kubeimage.folder / "copied"
    copy_backwards(projects, copied)

    assert build_all(kubeimage, copied) == first


def test_another_copy_of_the_context_hits_the_same_cache(kubeimage: Program, projects: Path) -> None:
    image_id = kubeimage.build("odd:v1", projects / "odd-names")
    copied = kubeimage.folder / "copied"
    copy_backwards(projects / "odd-names", copied)

    ended = kubeimage.run("build", "-t", "odd:v2", "--progress=json", copied)

    assert {event["cached"] for event in ended.events if event["event"] == "step_finished"} == {True}
    assert kubeimage.inspect("odd:v2")["spec"]["id"] == image_id.removeprefix("sha256:")


def test_the_way_a_context_is_named_makes_no_difference(kubeimage: Program, projects: Path) -> None:
    by_path = kubeimage.build("rootfs:v1", projects / "rootfs")
    inside = replace(kubeimage.with_root(kubeimage.folder / "other"), environment={}, folder=projects / "rootfs")

    inside.run("build", "-t", "rootfs:v1", "--progress=quiet", ".")

    assert inside.inspect("rootfs:v1")["spec"]["id"] == by_path.removeprefix("sha256:")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_makes_no_difference(open_folder: Path, projects: Path, first: dict[str, str]) -> None:
    skip_unless_nobody_can_run_python()
    copy_backwards(projects, open_folder / "projects")
    (open_folder / "home").mkdir()
    give_to_nobody(open_folder / "projects", open_folder / "home")
    theirs = Program(open_folder / "home/store", open_folder / "home", prefix=AS_NOBODY)

    assert build_all(theirs, open_folder / "projects") == first
    assert (open_folder / "home/store").stat().st_uid == NOBODY


def give_to_nobody(*folders: Path) -> None:
    """Change the owner of everything in ``folders``, and keep the modes, which that would change."""
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            mode = path.lstat().st_mode
            os.lchown(path, NOBODY, NOBODY)
            if not path.is_symlink():
                path.chmod(mode & 0o7777)


def skip_unless_nobody_can_run_python() -> None:
    """Skip where this interpreter, or this checkout, lies in somebody's closed home."""
    tried = subprocess.run(
        [*AS_NOBODY, "sh", "-c", f'"{sys.executable}" -c "import kubeimage, click"'],
        env={"PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        check=False,
    )
    if tried.returncode:
        pytest.skip(f"other users cannot run {sys.executable} on {REPOSITORY}")
