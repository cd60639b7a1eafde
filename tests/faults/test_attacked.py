"""Somebody moves, replaces or links folders while they are removed, compared or collected, by root or by a user.

Whatever comes of the work, nothing outside is another than it was: no link is followed, and no folder that was moved.
"""

import ctypes
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from harness.faults.forks import ending_here, fork
from kubeimage.disk.removal import remove_tree
from kubeimage.errors import KubeimageError
from kubeimage.store.files import try_remove_tree

NOBODY = 65534
_SET_DUMPABLE = 4
CALLS = {"open", "os.chmod", "os.rmdir", "os.scandir"}


class Attack:
    """Does something to a folder right before the ``at``-th call to the system that may matter."""

    now: "Attack | None" = None

    def __init__(self, at: int, strike: Callable[[], None]) -> None:
        self.left = at
        self.strike = strike
        self.came = False

    @contextmanager
    def going_on(self) -> Iterator[None]:
        Attack.now = self
        try:
            yield
        finally:
            Attack.now = None

    @classmethod
    def hear(cls, event: str, _arguments: object) -> None:
        """Count a call that Python is about to make; a hook outlives this module's names."""
        attack = cls.now
        if attack is None or event not in CALLS:
            return
        attack.left -= 1
        if attack.left == -1:
            cls.now = None
            attack.came = True
            attack.strike()
            cls.now = attack


sys.addaudithook(Attack.hear)


class Ground:
    """A folder ``top`` to work on, with folders that let nobody in, and one ``outside`` that nobody may touch."""

    def __init__(self, place: Path, name: str) -> None:
        self.top, self.outside = place / "top", place / "outside"
        self.name = name
        place.mkdir(parents=True)
        for folder in (self.top, self.outside):
            (folder / "d/e/o").mkdir(parents=True)
            (folder / "d/a").mkdir()
            for below in ("d/e/f", "d/e/o/x", "d/g", "d/a/b"):
                (folder / below).write_text(f"{folder.name} {below}")
        for below in ("n/a/b", "n/d", "n/e", "n/o"):
            (self.outside / below).mkdir(parents=True)
        for path, mode in (("outside/d", 0o750), ("outside/d/e", 0o710), ("top/d/e", 0o500), ("top/d/e/o", 0)):
            (place / path).chmod(mode)
        self.before = listing(self.outside)

    def move(self) -> None:
        (self.top / self.name).rename((self.top / self.name).with_name("aside"))

    def link(self) -> None:
        self.move()
        (self.top / self.name).symlink_to(self.outside / self.name)

    def replace(self) -> None:
        """Put a folder there that has links to the outside by the names that the work knows."""
        self.move()
        (self.top / self.name).mkdir()
        for below in (self.outside / self.name).iterdir():
            (self.top / self.name / below.name).symlink_to(below)

    def move_out(self) -> None:
        """Move it into the outside, so that its ``..`` leads to where folders have the names of its neighbours."""
        (self.top / self.name).rename(self.outside / "n/stolen")
        (self.outside / "n").chmod(0o500)

    def remedy(self) -> None:
        """Take back what ``move_out`` did itself."""
        if (self.outside / "n/stolen").exists():
            (self.outside / "n").chmod(0o755)
            remove_tree(str(self.outside / "n/stolen"))


ATTACKS = (Ground.move, Ground.link, Ground.replace, Ground.move_out)
WORKS: dict[str, Callable[[str], object]] = {
    "removed": remove_tree,
    "collected": try_remove_tree,
}


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
@pytest.mark.parametrize("user", [0, NOBODY], ids=["root", "a user"])
def test_nothing_outside_changes(work: Callable[[str], object], user: int) -> None:
    if user != os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    # Not among pytest's own folders, which others cannot enter.
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, user, user)
        child = fork()
        if child == 0:
            with ending_here():
                become(user)
                try_all(Path(folder), work)
        _, status = os.waitpid(child, 0)
        os.chown(folder, os.geteuid(), os.getegid())
    assert status == 0, "what the child said stands above"


def become(user: int) -> None:
    if user != os.geteuid():
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        # Who takes on another user is not shown to itself in /proc any more; a program that is started is.
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 1, 0, 0, 0)


def try_all(place: Path, work: Callable[[str], object]) -> None:
    """Let each attack come before each call of the work."""
    for attack in ATTACKS:
        for name in ("d", "d/e", "d/e/o"):
            came = 0
            while try_one(
                Ground(place / f"{attack.__name__} {name.replace('/', ' ')} {came}", name), attack, work, came
            ):
                came += 1
            assert came > 2


def try_one(ground: Ground, attack: Callable[[Ground], None], work: Callable[[str], object], at: int) -> bool:
    def strike() -> None:
        # It may be gone already, or be in a folder that lets nobody in.
        with suppress(OSError):
            attack(ground)

    attacked = Attack(at, strike)
    with attacked.going_on(), suppress(KubeimageError, OSError):
        work(str(ground.top))
    is_closed = stat.S_IMODE((ground.outside / "n").stat().st_mode) == 0o500
    assert is_closed == (ground.outside / "n/stolen").exists(), f"{attack.__name__} {ground.name} before call {at}"
    ground.remedy()
    assert listing(ground.outside) == ground.before, f"{attack.__name__} {ground.name} before call {at}"
    with suppress(KubeimageError):
        remove_tree(str(ground.top.parent))
    return attacked.came


def listing(folder: Path) -> dict[str, tuple[int, str]]:
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        content = path.read_text() if stat.S_ISREG(status.st_mode) else ""
        found[str(path)] = (stat.S_IMODE(status.st_mode), content)
    return found
