"""How soon fuzzers find ten mutants: ``python -m benchmarks.hunting [--workers 1 2] [--seeds 20] [MUTANT...]``.

Each mutant is put into a copy of the tree, and looked for by workers that share a folder, from an empty corpus, until
one of them fails. Figures are CPU seconds of the worker that found it, start not included: on a machine with a core for
each that is the time of waiting. A worker gives up after --limit CPU seconds, which then count.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import geometric_mean

ROOT = Path(__file__).parents[1]
MUTANTS = (
    "build-arg-ignored", "first-arg-wins", "key-without-base", "failed-run-goes-on", "key-without-names",
    "arg-visible-too-early", "key-without-platform", "key-without-args", "escape-by-symlink",
    "destination-symlink-replaced",
)  # fmt: skip
TARGET = "executor"
Search = Callable[[str, int, float], bool]


def by_lines(folder: str, seed: int, limit: float) -> bool:
    """Search as ``python -m harness.fuzz`` does, with the engine of our own; whether something failed."""
    from hypothesis.database import DirectoryBasedExampleDatabase

    from harness.fuzz.lines import Lines
    from harness.fuzz.runner import Runner
    from harness.fuzz.search import search
    from harness.fuzz.sharing import SharedCases
    from harness.fuzz.target import find_target

    lines = Lines()
    runner = Runner(find_target(TARGET), lines.watched)
    shared = SharedCases(DirectoryBasedExampleDatabase(folder), TARGET)
    end = time.process_time() + limit

    def run(buffer: bytes) -> bytes | None:
        if time.process_time() > end:
            raise TimeoutError
        return runner.run(buffer)

    return fails(lambda: search(run, lines, [], shared.keep_seed, random.Random(seed), news=shared.new_seeds))


def by_hypothesis(_folder: str, seed: int, limit: float) -> bool:
    """Draw one example after the other, without looking at what it does."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    from harness.fuzz.target import find_target

    target, end = find_target(TARGET), time.process_time() + limit

    @seeded(seed)
    @settings(max_examples=10**6, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck), report_multiple_bugs=False)  # fmt: skip
    @given(target.cases)
    def test(case: object) -> None:
        if time.process_time() > end:
            raise KeyboardInterrupt
        target.check(case)

    with suppress(KeyboardInterrupt):
        return fails(test)
    return False


def fails(work: Callable[[], object]) -> bool:
    """Whether ``work`` ends in a failure, and not in the end of its time."""
    try:
        work()
    except TimeoutError:
        return False
    except Exception:  # noqa: BLE001  whatever it is, it is what was looked for
        return True
    return False


ENGINES: dict[str, Search] = {"lines": by_lines, "hypothesis": by_hypothesis}


def hunt(engine: str, workers: int, seed: int, limit: float) -> float:
    """Return the CPU seconds of the worker that is the first to find something; ``limit`` where none does."""
    with tempfile.TemporaryDirectory(prefix="kubeimage-hunt-") as folder:
        pipes: dict[int, int] = {}
        for number in range(workers):
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                begun = time.process_time()
                found = ENGINES[engine](folder, 1000 * seed + number, limit)
                os.write(writing, struct.pack("d", time.process_time() - begun if found else limit))
                os._exit(0)
            os.close(writing)
            pipes[reading] = child
        taken = [limit]
        waiting = set(pipes)
        while waiting and min(taken) >= limit:
            for reading in select.select(list(waiting), [], [])[0]:
                waiting.discard(reading)
                data = os.read(reading, 8)
                taken += [struct.unpack("d", data)[0]] if data else []
        for reading, child in pipes.items():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reading)
        return min(taken)


def hunts(mutant: str, options: argparse.Namespace) -> Iterator[tuple[int, float]]:
    """Put a mutant into a copy of the tree, and yield the figures of a process that hunts it there."""
    from tests.mutants.patches import all_mutants, apply
    from tests.mutants.runner import copied_tree

    chosen = next(one for one in all_mutants() if one.name == mutant)
    with copied_tree(ROOT, ("kubeimage", "harness", "benchmarks")) as tree:
        apply(chosen, tree)
        words = [str(word) for word in ("--seeds", options.seeds, "--limit", options.limit, "--engine", options.engine)]
        command = [
            sys.executable,
            "-m",
            "benchmarks.hunting",
            "--here",
            *words,
            "--workers",
            *map(str, options.workers),
        ]
        done = subprocess.run(command, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, check=True, text=True,
                              stdout=subprocess.PIPE)  # fmt: skip
    for line in done.stdout.splitlines():
        workers, seconds = line.split()
        yield int(workers), float(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mutants", nargs="*", default=MUTANTS)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--limit", type=float, default=60)
    parser.add_argument("--engine", default="lines", choices=ENGINES)
    parser.add_argument("--here", action="store_true", help="hunt in this tree, and print the bare figures")
    options = parser.parse_args()
    if options.here:
        from harness.fuzz.target import find_target

        find_target(TARGET)
        for seed in range(options.seeds):
            for workers in options.workers:
                print(workers, hunt(options.engine, workers, seed, options.limit), flush=True)
        return
    print("| mutant | " + " | ".join(f"{workers} workers" for workers in options.workers) + " |", flush=True)
    means: dict[int, list[float]] = {workers: [] for workers in options.workers}
    for mutant in options.mutants:
        taken: dict[int, list[float]] = {workers: [] for workers in options.workers}
        for workers, seconds in hunts(mutant, options):
            taken[workers].append(max(seconds, 0.01))
        for workers in options.workers:
            means[workers].append(geometric_mean(taken[workers]))
        print(
            f"| {mutant} | " + " | ".join(f"{means[workers][-1]:.2f}" for workers in options.workers) + " |", flush=True
        )
    overall = [geometric_mean(means[workers]) for workers in options.workers]
    print("| geometric mean | " + " | ".join(f"{one:.2f}" for one in overall) + " |")
    print(
        f"to the first: {', '.join(f'{one / overall[0]:.2f}' for one in overall)}" if math.isfinite(overall[0]) else ""
    )


if __name__ == "__main__":
    main()
