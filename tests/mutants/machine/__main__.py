"""Mutates the core by machine, a sample at a time, and says how much of that the tests notice.

    python -m tests.mutants.machine                     # 100 mutations
    python -m tests.mutants.machine --sample 300 --seed 1 --map map.json --keep verdicts.jsonl
    python -m tests.mutants.machine --keep verdicts.jsonl --again tests/kubeimage/store/test_gc.py

Mutations are Cosmic Ray's. Each is tried on the tests that run its line, the quickest first. With --keep it goes on
where it was stopped. --again tries what lived on the file beside its module and on others, with the code as it is now.
Ends with 1 where fewer than --least of those are dead that any test could notice.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import gettempdir

from tests.mutants.machine.covering import Covering, covering, mirrored, read_map, stages
from tests.mutants.machine.kept import EXPLAINED, GONE, Kept, keep, read_explained, read_kept, summary
from tests.mutants.machine.mutations import Mutation, sample, statement
from tests.mutants.machine.trials import SURVIVED, prepare, run_tests, try_one
from tests.mutants.runner import ROOT, copied_tree

ROOMS = tuple(
    f"kubeimage/{name}" for name in ("store", "layer", "cache.py", "builder", "kubefile", "context", "discovery")
)
TESTS = (
    *(f"tests/{room}" for room in ROOMS if not room.endswith(".py")),
    "tests/kubeimage/test_cache.py",
    "tests/properties",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.machine", description=__doc__.partition("\n")[0])
    parser.add_argument("rooms", nargs="*", default=ROOMS, help="what to mutate (default: %(default)s)")
    parser.add_argument("--sample", type=int, default=100, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=8, help="CPU seconds beside its tests (default: %(default)s)")
    parser.add_argument("--tests", type=float, default=30, help="CPU seconds of tests for one (default: %(default)s)")
    parser.add_argument("--map", type=Path, help="the map of lines and tests; made where it is missing")
    parser.add_argument("--keep", type=Path, help="verdicts, to go on from")
    parser.add_argument("--again", nargs="*", metavar="FILE", help="try what lived on the tests beside it, and these")
    parser.add_argument("--least", type=float, default=0.95, help="part that has to be dead (default: %(default)s)")
    options = parser.parse_args(arguments)
    # A trial is a session of its own: it has to be ended by hand.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    kept = read_kept(options.keep)
    with copied_tree(ROOT) as tree:
        prepare()
        for one in try_again(tree, kept, options) if options.again is not None else try_sample(tree, kept, options):
            kept[one.verdict.mutation] = one
            keep(options.keep, one)
            print(one, flush=True)
        for one in unsound(tree, kept):
            print(f"no death: {one.verdict.by} fails without any mutation: {one.verdict.mutation}", file=sys.stderr)
            del kept[one.verdict.mutation]
    text, part = summary(list(kept.values()), read_explained(EXPLAINED))
    print(text)
    return 0 if part >= options.least else 1


def try_sample(tree: Path, kept: dict[Mutation, Kept], options: argparse.Namespace) -> Iterator[Kept]:
    """Try the sample, but for what was tried already."""
    known = read_map(options.map if options.map and options.map.exists() else make_map(tree, options.map))
    check_map(tree, known)
    seconds_of = {test: of.seconds for test, of in known.items()}
    for mutation in sample(tree, options.rooms, options.sample, options.seed):
        if mutation not in kept:
            tests = covering(known, mutation.path, statement(tree, mutation), seconds=options.tests)
            verdict = try_one(tree, mutation, stages(tests, mutation.path), seconds_of, limit=options.limit)
            yield Kept.of(tree, verdict)


def try_again(tree: Path, kept: dict[Mutation, Kept], options: argparse.Namespace) -> Iterator[Kept]:
    """Try what lived on the tests beside it, some files and the tests of the map, wherever its line is by now."""
    known = read_map(options.map) if options.map else {}
    seconds_of = {test: of.seconds for test, of in known.items()}
    for one in [one for one in kept.values() if one.verdict.is_alive]:
        if (mutation := one.found_again(tree)) is None:
            yield one._replace(verdict=one.verdict._replace(how=GONE), at_first=one.verdict.how)
            continue
        beside = mirrored(mutation.path)
        first = [beside] if (tree / beside).exists() else []
        rest = covering(known, mutation.path, statement(tree, mutation), seconds=options.tests)
        verdict = try_one(tree, mutation, [[*first, *options.again], rest], seconds_of, limit=options.limit)
        if not verdict.is_alive:
            yield one._replace(verdict=verdict._replace(mutation=one.verdict.mutation), at_first=one.verdict.how)


def unsound(tree: Path, kept: dict[Mutation, Kept]) -> list[Kept]:
    """Return the verdicts by tests that fail in a trial without any mutation."""
    tests = sorted({one.verdict.by for one in kept.values() if one.verdict.is_dead})
    bad: set[str] = set()
    while left := [test for test in tests if test not in bad]:
        run = run_tests(tree, left, limit=600)
        if run.by not in left:
            break
        bad.add(run.by)
    return [one for one in kept.values() if one.verdict.by in bad]


def check_map(tree: Path, known: dict[str, Covering]) -> None:
    """Run some tests without any mutation, for a trial in which they fail anyhow says nothing.

    Raises: RuntimeError where they fail.
    """
    # Every so manieth, the quick ones: they would all fail where something is wrong with how they are run.
    quick = [test for _, test in sorted((of.seconds, test) for test, of in known.items())][: -len(known) // 4 : 20]
    run = run_tests(tree, quick, limit=600)
    if (run.how, run.ran) != (SURVIVED, len(quick)):
        raise RuntimeError(f"without any mutation {run.ran} of {len(quick)} tests ran: {run.how} {run.by}")


def make_map(tree: Path, into: Path | None) -> Path:
    """Run the tests of the rooms once, and return where the map is."""
    into = into or tree.parent / "map.json"
    plugin = ("-p", "tests.mutants.machine.covering", f"--covering-into={into.absolute()}")
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-o", "timeout=0", *plugin]
    # As in trials: the same examples. And the tree lies in the folder for temporary files: pyfakefs has no other /tmp.
    environment = {**os.environ, "CI": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": str(tree), "TMPDIR": gettempdir()}
    subprocess.run([*command, *TESTS], cwd=tree, env=environment, check=False, stdout=sys.stderr)
    return into


if __name__ == "__main__":
    sys.exit(main())
