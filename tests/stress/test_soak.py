"""A soak: everything at once on one store and one registry, some of it killed, by clocks that jump; nothing is lost."""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry
from tests.e2e.program import Program, processes_with, tree, wait_until, write
from tests.stress.conftest import Amount
from tests.stress.projects import WORD, Project
from tests.stress.test_killed import mounts_below
from tests.stress.test_parallel import Crowd, Work, builder, checker, namer, pruner

PLATFORMS = "linux/amd64,linux/arm64"
MANY_PLATFORMS = "FROM scratch\nCOPY a ${ARCH}/a\nCMD cat a\n"
HOUR = 3600.0
SHIFTED = str(Path(__file__).with_name("shifted.py"))
Tree = dict[str, tuple[str, int, str | bytes]]


class Soak:
    """The store, the registry, and what is known of the images that nobody may lose."""

    def __init__(self, program: Program, host: str, projects: tuple[Project, ...]) -> None:
        settings = f'[registry."{host}"]\nplain-http = true\n'
        write(program.folder / "xdg", {"kubeimage/config.toml": settings})
        environment = {**program.environment, "XDG_CONFIG_HOME": str(program.folder / "xdg")}
        self.program = replace(program, environment=environment)
        self.projects = projects
        self.remote = f"{host}/soak/kept:v1"
        self.images = {"kept:v1": projects[0], "base:0": projects[1], "base:1": projects[2], "base:v1": projects[1]}
        for name, project in self.images.items():
            self.program.build(name, project.context)
        self.files = self._files("kept:v1")
        self.many = write(program.folder / "many", {"Kubefile": MANY_PLATFORMS, "a": "a"})
        for name, text in (("several:1", "1"), ("several:2", "2")):
            context = write(program.folder / name.replace(":", "-"), {"Kubefile": MANY_PLATFORMS, "a": text})
            self.program.run("build", "--progress=quiet", "-t", name, "--platform", PLATFORMS, context)
        self.ids = {name: action(0) for name, action in self._repeated().items()}

    def loops(self) -> dict[str, Work]:
        """Give what goes on at the same time."""
        return {
            "builder": builder(self.jumping(1), self.projects, "built:1"),
            "another builder": builder(self.program, self.projects, "built:2"),
            "names": namer(self.jumping(2)),
            "prune": pruner(self.jumping(3)),
            "fsck": checker(self.program),
            "kills": self._kill,
            **{name: self._checked(name) for name in self._repeated()},
        }

    def jumping(self, seed: int) -> Program:
        """Give the program with a clock that is an hour or a day off, each time another one."""
        program = self.program
        return _Jumping(program.root, program.folder, program.environment, chance=random.Random(seed))

    def _repeated(self) -> dict[str, Work]:
        """Give what comes to the same each time."""
        return {"several platforms": self._build_many, "save and load": self._save_and_load,
                "push and pull": self._push_and_pull, "merge": self._merge,
                "merge of several platforms": self._merge_several}  # fmt: skip

    def _checked(self, name: str) -> Work:
        def work(number: int) -> None:
            found = self._repeated()[name](number)
            assert found == self.ids[name], name

        return work

    def _build_many(self, number: int) -> object:
        options = ("--no-cache",) if number % 2 else ()
        words = ("--progress=quiet", "-t", "many:v1", "--platform", PLATFORMS)
        self.program.run("build", *words, *options, self.many)
        return self.program.run("images", "--format=json").stdout.count('"many:v1"'), self._id("many:v1")

    def _save_and_load(self, number: int) -> object:
        archive = self.program.folder / f"saved-{number % 2}.tar"
        self.program.run("save", "kept:v1", "-o", archive)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        other = self.program.with_root(self.program.folder / "other")
        other.run("load", "-i", archive)
        self.program.run("load", "-i", archive)
        assert other.inspect("kept:v1") == self.program.inspect("kept:v1")
        return digest

    def _push_and_pull(self, _number: int) -> object:
        self.program.run("tag", "kept:v1", self.remote)
        self.program.run("push", self.remote)
        self.program.run("rmi", self.remote)
        self.program.run("pull", self.remote)
        assert self._files(self.remote) == self._files("kept:v1")
        return self._id(self.remote)

    def _merge(self, _number: int) -> object:
        self.program.run("merge", "base:0", "kept:v1", "-t", "merged:v1")
        return self._id("merged:v1")

    def _merge_several(self, _number: int) -> object:
        self.program.run("merge", "several:1", "several:2", "-t", "merged:v2")
        listed = json.loads(self.program.run("images", "--format=json").stdout)
        return sorted(image["image_id"] for image in listed if image["name"] == "merged:v2")

    def _kill(self, number: int) -> None:
        chance = random.Random(number)
        project = chance.choice(self.projects)
        commands: list[tuple[str | Path, ...]] = [
            ("build", "-t", "killed:v1", "--no-cache", "--progress=plain", project.context),
            ("build", "-t", "killed:v1", "--progress=plain", project.context),
            ("prune",),
            ("fsck", "--repair"),
            ("tag", "kept:v1", "killed:v1"),
            ("save", "kept:v1", "-o", self.program.folder / "killed.tar"),
            ("load", "-i", self.program.folder / "saved-0.tar"),
            ("push", self.remote),
            ("pull", self.remote),
            ("merge", "base:1", "kept:v1", "-t", "killed:v1"),
            ("merge", "several:1", "several:2", "-t", "killed:v1"),
            ("build", "-t", "killed:v1", "--no-cache", "--platform", PLATFORMS, self.many),
            ("rmi", "killed:v1"),
        ]
        process = self.program.start(*chance.choice(commands))
        time.sleep(chance.uniform(0.05, 1.5))
        (os.killpg if chance.random() < 0.5 else os.kill)(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)

    def _id(self, name: str) -> str:
        return str(self.program.inspect(name)["spec"]["id"])

    def _files(self, name: str) -> Tree:
        exported = self.program.export(name)
        found = tree(exported)
        shutil.rmtree(exported.parent)
        return found

    def lost(self) -> Iterator[str]:
        """Say what is not as it was."""
        images = json.loads(self.program.run("images", "--format=json").stdout)
        found = {image["name"]: image["image_id"] for image in images if image["name"]}
        for name, project in self.images.items():
            if name != "base:v1" and found.get(name) != project.image_id:
                yield f"{name} is {found.get(name)}, not {project.image_id}"
        if self._files("kept:v1") != self.files:
            yield "the files of kept:v1"
        if left := list((self.program.root / "ingest").iterdir()):
            yield f"ingest/ has {left}"
        if mounts := mounts_below(self.program.folder):
            yield f"mounted: {mounts}"


@dataclass(frozen=True)
class _Jumping(Program):
    """A program whose every process has another idea of the time."""

    chance: random.Random = field(default_factory=random.Random)

    def _command(self, arguments: Sequence[str | Path]) -> list[str]:
        offset = self.chance.choice((0.0, HOUR, -HOUR, 24 * HOUR, -24 * HOUR))
        return [sys.executable, SHIFTED, str(offset), *super()._command(arguments)]


def test_nothing_is_lost_in_an_hour(kubeimage: Program, projects: tuple[Project, ...], amount: Amount) -> None:
    if amount.soak == 0:
        pytest.skip("takes long: KUBEIMAGE_STRESS=full, and KUBEIMAGE_SOAK says for how many seconds")
    with FakeRegistry() as registry:
        soak = Soak(kubeimage, registry.host, projects)
        crowd = Crowd(amount.soak)

        crowd.run(soak.loops())

        sys.stdout.write(f"rounds: {dict(crowd.rounds)}\n")
        wait_until(lambda: not processes_with(WORD), "the processes of killed builds are gone")
        kubeimage.run("fsck")
        assert list(soak.lost()) == []
