"""Commands that are killed at random moments: the store stays sound, and a build made again gives the same image."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.program import Program, processes_with, wait_until
from tests.stress.conftest import Amount
from tests.stress.projects import WORD, Project

BUILD = ("build", "-t", "app:v1", "--progress=plain")
# What is killed, how often, and how long it may take before. Builds are what matters; the rest keeps the store busy.
VICTIMS = {
    "a cold build": (6, (*BUILD, "--no-cache")),
    "a build with what is cached": (6, BUILD),
    "prune": (1, ("prune",)),
    "prune --keep-cache": (1, ("prune", "--keep-cache")),
    "fsck --repair": (1, ("fsck", "--repair")),
    "rmi": (1, ("rmi", "app:v1")),
}


def arguments(victim: str, project: Project) -> tuple[str | Path, ...]:
    command = VICTIMS[victim][1]
    return (*command, project.context) if command[0] == "build" else command


def kill(kubeimage: Program, command: tuple[str | Path, ...], delay: float, *, group: bool) -> None:
    """Start the program and kill it, alone or with all its children, after so many seconds."""
    process = kubeimage.start(*command)
    time.sleep(delay)
    (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


def mounts_below(folder: Path) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]


def duration(kubeimage: Program, command: tuple[str | Path, ...]) -> float:
    began = time.monotonic()
    kubeimage.run(*command)
    return time.monotonic() - began


@pytest.mark.parametrize("seed", [int.from_bytes(os.urandom(3), "big")], ids=lambda _: "at random")
def test_whatever_is_killed_at_whatever_moment(
    kubeimage: Program, projects: tuple[Project, ...], amount: Amount, seed: int
) -> None:
    chance = random.Random(seed)
    takes = {"build": duration(kubeimage, (*BUILD, projects[0].context)), "fsck": duration(kubeimage, ("fsck",))}

    for number in range(amount.kills):
        project = chance.choice(projects)
        victim = chance.choices(list(VICTIMS), [weight for weight, _ in VICTIMS.values()])[0]
        command = arguments(victim, project)
        delay = chance.uniform(0.05, takes.get(str(command[0]), takes["fsck"]) * 1.2)
        told = f"seed {seed}, kill {number}: {victim} after {delay:.4f} s"

        kill(kubeimage, command, delay, group=chance.random() < 0.5)

        wait_until(lambda: not processes_with(WORD), f"the RUN's processes are gone: {told}")
        assert mounts_below(kubeimage.folder) == [], told
        assert_sound(kubeimage, told)
        assert kubeimage.build("app:v1", project.context) == project.image_id, told

    assert_sound(kubeimage, "at the end")
    assert list((kubeimage.root / "ingest").iterdir()) == []


def assert_sound(kubeimage: Program, told: str) -> None:
    with kubeimage.start("fsck") as process:
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, f"{told}\n{stdout}{stderr}"
