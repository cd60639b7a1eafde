"""Mutates the core by machine, a sample at a time, and says how much of that the tests notice.

    python -m tests.mutants.machine                     # 100 mutations
    python -m tests.mutants.machine --sample 300 --seed 1 --keep results.json

Mutations are Cosmic Ray's. Each is tried on the tests that run its line, the quickest first. With --keep it goes on
where it was stopped. Ends with 1 where fewer than --least of them are dead.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.machine.covering import covering, read_map
from tests.mutants.machine.mutations import Mutation, sample
from tests.mutants.machine.trials import Verdict, check_tests, prepare, try_one
from tests.mutants.runner import ROOT, copied_tree

ROOMS = tuple(
    f"kubeimage/{name}" for name in ("store", "layer", "cache.py", "builder", "kubefile", "context", "discovery")
)
TESTS = (*(f"tests/{room}" for room in ROOMS if not room.endswith(".py")), "tests/kubeimage/test_cache.py")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.machine", description=__doc__.partition("\n")[0])
    parser.add_argument("rooms", nargs="*", default=ROOMS, help="what to mutate (default: %(default)s)")
    parser.add_argument("--sample", type=int, default=100, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=60, help="seconds for one mutation (default: %(default)s)")
    parser.add_argument("--tests", type=float, default=15, help="CPU seconds of tests for one (default: %(default)s)")
    parser.add_argument("--map", type=Path, help="the map of lines and tests; made where it is missing")
    parser.add_argument("--keep", type=Path, help="verdicts, to go on from")
    parser.add_argument("--least", type=float, default=0.95, help="part that has to be dead (default: %(default)s)")
    options = parser.parse_args(arguments)
    with copied_tree(ROOT) as tree:
        known = read_map(options.map if options.map and options.map.exists() else make_map(tree, options.map))
        prepare()
        # Every so manieth, the quick ones: they would all fail where something is wrong with how they are run.
        quick = [test for _, test in sorted((of.seconds, test) for test, of in known.items())]
        check_tests(tree, quick[: -len(quick) // 4 : 20], limit=600)
        verdicts = read_verdicts(options.keep)
        for mutation in sample(tree, options.rooms, options.sample, options.seed):
            if mutation in verdicts:
                continue
            tests = covering(known, mutation.path, mutation.line, seconds=options.tests)
            verdicts[mutation] = one = try_one(tree, mutation, tests, limit=options.limit)
            print(f"{one.how:18} {one.seconds:5.1f} s  {mutation}", flush=True)
            write_verdicts(options.keep, verdicts.values())
    print(summary(list(verdicts.values())))
    return 0 if sum(one.is_dead for one in verdicts.values()) >= options.least * len(verdicts) else 1


def make_map(tree: Path, into: Path | None) -> Path:
    """Run the tests of the rooms once, and return where the map is."""
    into = into or tree.parent / "map.json"
    plugin = ("-p", "tests.mutants.machine.covering", f"--covering-into={into}")
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *plugin, *TESTS]
    subprocess.run(command, cwd=tree, check=False, stdout=sys.stderr)
    return into


def read_verdicts(path: Path | None) -> dict[Mutation, Verdict]:
    """Return what an earlier run found."""
    if path is None or not path.exists():
        return {}
    return {(one := Mutation(*of)): Verdict(one, *rest) for of, *rest in json.loads(path.read_text())}


def write_verdicts(path: Path | None, verdicts: object) -> None:
    """Keep what was found so far."""
    if path is not None:
        path.write_text(json.dumps(list(verdicts)))  # type: ignore[call-overload]


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return how many are dead, with the interval in which 95 % of such samples have the true part (Wilson's)."""
    count, dead = len(verdicts), sum(one.is_dead for one in verdicts)
    if not count:
        return "no mutation"
    low, high = interval(dead, count)
    lines = [f"{one.how}: {one.mutation}" for one in verdicts if not one.is_dead]
    return "\n".join([*lines, f"{dead} of {count} dead: {dead / count:.1%}, 95 % interval {low:.1%} to {high:.1%}"])


def interval(dead: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a part."""
    z, part = 1.959964, dead / count
    middle = part + z * z / (2 * count)
    width = z * math.sqrt(part * (1 - part) / count + z * z / (4 * count * count))
    return (middle - width) / (1 + z * z / count), (middle + width) / (1 + z * z / count)


if __name__ == "__main__":
    sys.exit(main())
