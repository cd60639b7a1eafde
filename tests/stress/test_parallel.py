"""Builds, names given and taken, and garbage collection side by side in real processes: nothing is lost."""

import itertools
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.program import Program, processes_with, tree, write
from tests.stress.conftest import Amount
from tests.stress.projects import WORD, Project

BUILDERS = 7
ON_A_BASE = f"FROM base:v1\nRUN : {WORD} && cat etc/both && echo derived > etc/derived\n"

Work = Callable[[int], object]


class Crowd:
    """Loops of commands on one store, until time is up or one of them fails."""

    def __init__(self, seconds: float) -> None:
        self.rounds = Counter[str]()
        self._deadline = time.monotonic() + seconds
        self._failed = threading.Event()

    def loop(self, name: str, work: Work) -> None:
        for number in itertools.count():
            if self._failed.is_set() or (number and time.monotonic() > self._deadline):
                return
            try:
                work(number)
            except BaseException:
                self._failed.set()
                raise
            self.rounds[name] += 1

    def run(self, loops: dict[str, Work]) -> None:
        with ThreadPoolExecutor(len(loops)) as pool:
            for running in [pool.submit(self.loop, name, work) for name, work in loops.items()]:
                running.result()


def builder(kubeimage: Program, projects: tuple[Project, ...], name: str) -> Work:
    """Build one project after the other, cold and cached."""

    def work(count: int) -> None:
        project = projects[count % len(projects)]
        options = ("--no-cache",) if count % 3 == 1 else ()
        assert kubeimage.build(name, project.context, *options) == project.image_id
        assert f"sha256:{kubeimage.inspect(name)['spec']['id']}" == project.image_id

    return work


def builder_on_a_base(kubeimage: Program, context: Path) -> Work:
    """Build on an image whose name goes to another image all the time, and look at all that came out."""

    def work(count: int) -> None:
        kubeimage.build("derived:v1", context, *(("--no-cache",) if count % 2 else ()))
        assert (kubeimage.export("derived:v1") / "etc/derived").read_text() == "derived\n"

    return work


def namer(kubeimage: Program) -> Work:
    """Return names that are taken already, and take names away; the last one of an image among them."""

    def work(count: int) -> None:
        kubeimage.run("tag", f"base:{count % 2}", "base:v1")
        kubeimage.run("tag", "kept:v1", f"name:{count % 3}")
        kubeimage.run("rmi", f"name:{count % 3}")

    return work


def pruner(kubeimage: Program) -> Work:
    return lambda count: kubeimage.run("prune", *((), ("--keep-cache",), ("--dry-run",))[count % 3])


def checker(kubeimage: Program) -> Work:
    return lambda count: kubeimage.run("fsck", *(("--repair",) if count % 4 == 3 else ()))


def test_nothing_is_lost(
    kubeimage: Program,
    projects: tuple[Project, ...],
    amount: Amount,
    tmp_path: Path,
) -> None:
    kept = {"kept:v1": projects[0], "base:0": projects[1], "base:1": projects[2], "base:v1": projects[1]}
    for name, project in kept.items():
        kubeimage.build(name, project.context)
    before = tree(kubeimage.export("kept:v1"))
    derived = write(tmp_path / "derived", {"Kubefile": ON_A_BASE})
    built = [f"built:{number}" for number in range(BUILDERS)]
    loops = {name: builder(kubeimage, projects, name) for name in built}
    loops |= {"derived:v1": builder_on_a_base(kubeimage, derived), "names": namer(kubeimage)}
    loops |= {"prune": pruner(kubeimage), "fsck": checker(kubeimage)}
    crowd = Crowd(amount.seconds)

    crowd.run(loops)

    sys.stdout.write(f"rounds: {dict(crowd.rounds)}\n")
    ids = {name: projects[(crowd.rounds[name] - 1) % len(projects)].image_id for name in built}
    ids |= {name: project.image_id for name, project in kept.items() if name != "base:v1"}
    images = json.loads(kubeimage.run("images", "--format=json").stdout)
    found = {image["name"]: image["image_id"] for image in images if image["name"]}
    assert {name: image_id for name, image_id in found.items() if name in ids} == ids
    assert found.keys() - ids.keys() == {"base:v1", "derived:v1"}
    kubeimage.run("fsck")
    assert tree(kubeimage.export("kept:v1")) == before
    assert (list((kubeimage.root / "ingest").iterdir()), processes_with(WORD)) == ([], [])
