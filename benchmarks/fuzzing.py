"""How many generated builds a second the fuzzers run: ``python -m benchmarks.fuzzing [--projects 500] [--profile]``.

A generated project has about 5 instructions behind FROM and 10 files; each backend builds all of them, each in a store
that has nothing but the project's base. Figures are of CPU seconds, children included; in memory, where all of it takes
a fraction of a second, they are medians of several rounds.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from statistics import mean, median

from hypothesis import HealthCheck, Phase, given, settings

from harness import model
from harness.cases.kubefs import KubeFs
from harness.cases.modelled import put_image
from harness.model.build import BASE_NAME
from harness.stateful.agreement import build_project, project_backends
from harness.strategies import Project, projects
from harness.trees import write_tree
from kubeimage.api.backends import Backends, open_backends
from kubeimage.image.reference import Reference


class Enough(BaseException):
    """All projects that were asked for are there: no failure, which Hypothesis would make smaller."""


INSTRUCTIONS, FILES = 5, 10
ROUNDS = 7
FEWER = 20
"""Backends that wait for a disk get every so manieth project only."""


def generate(count: int) -> list[Project]:
    """Generate projects of about the size that is spoken of, always the same ones.

    What is too small is thrown away; the rest of the examples is not generated when there are enough.
    """
    found: list[Project] = []

    @settings(max_examples=count * 6, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(projects(max_size=9, max_files=18))
    def collect(project: Project) -> None:
        if len(project.context) >= FILES // 3 and instructions(project) >= INSTRUCTIONS // 2:
            found.append(project)
        if len(found) == count:
            raise Enough

    with suppress(Enough):
        collect()
    return found


def instructions(project: Project) -> int:
    """How many stand behind FROM."""
    return len(project.kubefile.instructions) - 1


def cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def rate(work: Sequence[Callable[[], object]]) -> float:
    """How many pieces of work are done in a CPU second."""
    # All that was generated is still there, and no fuzzer has so much for the collector of garbage to look at.
    gc.collect()
    gc.freeze()
    start = cpu()
    for one in work:
        one()
    return len(work) / (cpu() - start)


def with_base(project: Project, backends: Backends) -> Backends:
    """Put the base of a project into its store."""
    if project.base is not None:
        put_image(project.base, backends, [Reference.parse(BASE_NAME)])
    return backends


def in_memory(chosen: Sequence[Project]) -> tuple[float, float]:
    """Build with the fakes, and then again from the cache."""
    rates = []
    for _ in range(ROUNDS):
        prepared = [(project, with_base(project, project_backends(project))) for project in chosen]
        work = [lambda project=project, backends=backends: build_project(project, backends, with_base=False)
                for project, backends in prepared]  # fmt: skip
        rates.append((rate(work), rate(work)))
    return median(first for first, _ in rates), median(again for _, again in rates)


def on_files(chosen: Sequence[Project], mount: str) -> float:
    """Build with the real parts, each project in a store of its own."""
    with ExitStack() as stack:
        kube_fs = stack.enter_context(KubeFs()) if mount == "pyfakefs" else None
        folder = "/benchmark" if kube_fs else stack.enter_context(tempfile.TemporaryDirectory())

        @contextmanager
        def opened(number: int) -> Iterator[Backends]:
            if kube_fs is None:
                with open_backends(f"{folder}/{number}/store", mount=mount) as backends:
                    yield backends
            else:
                kube_fs.root = f"{folder}/{number}/store"
                with kube_fs.open() as backends:
                    yield backends

        def build_at(number: int, project: Project) -> None:
            with opened(number) as backends:
                build_project(project, backends, f"{folder}/{number}/context", with_base=False)

        for number, project in enumerate(chosen):
            write_tree(f"{folder}/{number}/context", project.context)
            with opened(number) as backends:
                with_base(project, backends)
        return rate([partial(build_at, number, project)
                     for number, project in enumerate(chosen)])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=500)
    parser.add_argument("--profile", action="store_true", help="show where builds in memory spend their time")
    options = parser.parse_args()
    start = cpu()
    chosen = generate(options.projects)
    generated = len(chosen) / (cpu() - start)
    if options.profile:
        profile = cProfile.Profile()
        prepared = [(project, project_backends(project)) for project in chosen]
        gc.freeze()
        profile.runcall(lambda: [build_project(*one) for one in prepared])
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        return
    print(f"{len(chosen)} projects with {mean(map(instructions, chosen)):.1f} instructions behind FROM and "
          f"{mean(len(one.context) for one in chosen):.1f} files on average")  # fmt: skip
    memory, again = in_memory(chosen)
    figures = {
        "memory": memory,
        "memory, all from the cache": again,
        **{mount: on_files(chosen[::FEWER], mount) for mount in ("pyfakefs", "copy", "overlay")},
        "the model": rate([partial(model.build, project.request) for project in chosen]),
        "generating, with what is thrown away": generated,
    }
    print("\n| what | a CPU second | to memory |\n| --- | ---: | ---: |")
    for name, figure in figures.items():
        print(f"| {name} | {figure:,.0f} | {figure / memory:.2f} |")


if __name__ == "__main__":
    main()
