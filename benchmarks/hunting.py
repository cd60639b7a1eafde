"""How soon fuzzers find ten mutants: ``python -m benchmarks.hunting [--workers 1 2] [--seeds 20] [MUTANT...]``.

Each mutant is put into a copy of the tree, and looked for by workers that share a folder, from an empty corpus, until
one of them fails. Figures are CPU seconds of the worker that found it: on a machine with a core for each that is the
time of waiting. What happens once is not included: Python and its modules are loaded, and one case has been tried. A
worker gives up after --limit CPU seconds, which then count.

All mutants are hunted with the first seed, then all with the second: whoever stops early has figures of every mutant.
With --third, and the first seed, one more worker starts when the mutant has been found, as a process of its own: the
CPU seconds until it has found it as well, and beside them those of one that knows of nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
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

    from harness.fuzz.finding import Finding, origin_text
    from harness.fuzz.lines import Lines
    from harness.fuzz.runner import Runner
    from harness.fuzz.search import search
    from harness.fuzz.sharing import SharedCases
    from harness.fuzz.target import find_target

    lines, target = Lines(), find_target(TARGET)
    runner = Runner(target, lines.watched)
    shared = SharedCases(DirectoryBasedExampleDatabase(folder), TARGET)
    end = time.process_time() + limit

    def run(buffer: bytes) -> bytes | None:
        if time.process_time() > end:
            raise TimeoutError
        return runner.run(buffer)

    try:
        search(run, lines, [], shared.keep_seed, random.Random(seed), news=shared.new_seeds)
    except TimeoutError:
        return False
    except Exception as error:  # noqa: BLE001  whatever it is, it is what was looked for
        shared.keep_finding(Finding(origin_text(error), target.dump(runner.failed), is_small=True))
    return True


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

    try:
        test()
    except KeyboardInterrupt:
        return False
    except Exception:  # noqa: BLE001  whatever it is, it is what was looked for
        return True
    return False


ENGINES: dict[str, Search] = {"lines": by_lines, "hypothesis": by_hypothesis}


def hunt(engine: str, workers: int, seed: int, limit: float, folder: str) -> float:
    """Return the CPU seconds of the worker that is the first to find something; ``limit`` where none does."""
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


def one_more(folder: str, *, finds: bool) -> float:
    """Return the CPU seconds until a worker with this database has told what it knows, and tried one case."""
    words = ["executor", "--engine", "lines", "--runs", "1", "--database", folder]
    words += ["--corpus", f"{folder}-corpus", "--save", f"{folder}-saved"]
    begun = cpu_of_children()
    done = subprocess.run([sys.executable, "-m", "harness.fuzz", *words], check=False, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)  # fmt: skip
    assert done.returncode == int(finds), "what one worker knows, the next one did not find"
    return cpu_of_children() - begun


def cpu_of_children() -> float:
    """Return the CPU seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def hunt_here(options: argparse.Namespace) -> None:
    """Hunt in this tree: read lines of workers and a seed, and print the seconds, and those of one more worker."""
    from harness.fuzz.runner import Runner
    from harness.fuzz.target import find_target

    with suppress(Exception):
        # What happens once in a process happens now.
        Runner(find_target(TARGET)).run(b"")
    for line in sys.stdin:
        workers, seed = map(int, line.split())
        with tempfile.TemporaryDirectory(prefix="kubeimage-hunt-") as folder:
            seconds = hunt(options.engine, workers, seed, options.limit, f"{folder}/shared")
            more = [seconds]
            if options.third and workers > 1 and not seed and seconds < options.limit:
                more += [one_more(f"{folder}/shared", finds=True), one_more(f"{folder}/empty", finds=False)]
        print(*more, flush=True)


class Ground:
    """A copy of the tree with a mutant in it, and a process that hunts there."""

    def __init__(self, mutant: str, options: argparse.Namespace, stack: ExitStack) -> None:
        from tests.mutants.patches import all_mutants, apply
        from tests.mutants.runner import copied_tree

        tree = stack.enter_context(copied_tree(ROOT, ("kubeimage", "harness", "benchmarks")))
        apply(next(one for one in all_mutants() if one.name == mutant), tree)
        words = ["--here", "--limit", str(options.limit), "--engine", options.engine]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.hunting", *words, *["--third"] * options.third],
            cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        stack.enter_context(self._process)
        self.mutant = mutant

    def close(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def hunt(self, workers: int, seed: int) -> list[float]:
        """Return the seconds of the first who found it, and those of one more worker."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{workers} {seed}\n")
        self._process.stdin.flush()
        return [float(word) for word in self._process.stdout.readline().split()]


Taken = dict[tuple[str, int], list[float]]


def print_table(taken: Taken, options: argparse.Namespace) -> None:
    """Print the geometric means of all that was taken, and each number of workers beside the first."""
    print("\n| mutant | " + " | ".join(f"{workers} workers" for workers in options.workers) + " | ratio |")
    print("| --- |" + " ---: |" * (len(options.workers) + 1))
    means = [[geometric_mean(taken[mutant, workers]) for workers in options.workers] for mutant in options.mutants]
    means.append([geometric_mean(column) for column in zip(*means, strict=True)])
    for mutant, row in zip([*options.mutants, "geometric mean"], means, strict=True):
        print(f"| {mutant} | {' | '.join(f'{one:.2f}' for one in row)} | {row[-1] / row[0]:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mutants", nargs="*", default=MUTANTS)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first seed: whoever stopped goes on there")
    parser.add_argument("--limit", type=float, default=60)
    parser.add_argument("--engine", default="lines", choices=ENGINES)
    parser.add_argument("--third", action="store_true", help="let one more worker start when the mutant has been found")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        hunt_here(options)
        return
    taken: Taken = {(mutant, workers): [] for mutant in options.mutants for workers in options.workers}
    with ExitStack() as stack:
        grounds = [Ground(mutant, options, stack) for mutant in options.mutants]
        for seed in range(options.first, options.first + options.seeds):
            for ground in grounds:
                for workers in options.workers:
                    seconds, *more = ground.hunt(workers, seed)
                    taken[ground.mutant, workers].append(max(seconds, 0.01))
                    shown = " ".join(f"{one:.2f}" for one in more)
                    print(f"{seed} {ground.mutant} {workers} {seconds:.2f} {shown}", file=sys.stderr, flush=True)
        for ground in grounds:
            ground.close()
    print_table(taken, options)


if __name__ == "__main__":
    main()
