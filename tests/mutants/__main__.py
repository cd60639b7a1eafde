"""Puts defects into copies of the tree, one at a time, and says which tests find them.

    python -m tests.mutants                     all of them, a few minutes
    python -m tests.mutants NAME... --write     these, and their rows in docs/mutants.md

Ends with 1 where a mutant lives, or fits the code no more.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.mutants.patches import Mutant, StaleMutantError, all_mutants, mutated
from tests.mutants.runner import ROOT, copied_tree, find_death, run_tests
from tests.mutants.table import Row, make_row, read_rows, render, summary
from tests.mutants.watching import Death

PAGE = ROOT / "docs" / "mutants.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="names of patches; all, if none is given")
    parser.add_argument("--write", action="store_true", help="write docs/mutants.md")
    parser.add_argument("--limit", type=float, default=120, help="seconds that a test may take (default: %(default)s)")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="how many at once (default: %(default)s)")
    options = parser.parse_args(arguments)
    known = all_mutants()
    chosen = [mutant for mutant in known if not options.names or mutant.name in options.names]
    if unknown := set(options.names) - {mutant.name for mutant in chosen}:
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    if not fit(chosen):
        return 1
    rows = {row.mutant: row for row in hunt(chosen, options.limit, options.jobs)}
    if options.write:
        before = read_rows(PAGE.read_text()) if PAGE.exists() else {}
        all_rows = {**before, **rows}
        PAGE.write_text(render([all_rows[mutant.name] for mutant in known if mutant.name in all_rows]))
    print(summary(list(rows.values())))
    return 0 if all(row.seconds for row in rows.values()) else 1


def fit(mutants: Sequence[Mutant]) -> bool:
    """Say whether all fit the code, and complain of those that don't, before any work."""
    stale = []
    for mutant in mutants:
        try:
            mutated(mutant, ROOT)
        except StaleMutantError as error:
            stale.append(str(error))
    print(*stale, sep="\n", file=sys.stderr)
    return not stale


def hunt(mutants: Sequence[Mutant], limit: float, jobs: int) -> list[Row]:
    """Run mutants, tell of each as it dies, and check that those who killed them are well themselves."""

    def run(mutant: Mutant) -> Death | None:
        began = time.monotonic()
        death = find_death(mutant, tree, limit=limit)
        print(f"{time.monotonic() - began:6.1f} s  {mutant.name}: {describe(death)}", flush=True)
        return death

    # One copy for all: somebody may go on writing meanwhile.
    with copied_tree() as tree:
        with ThreadPoolExecutor(jobs) as pool:
            deaths = list(pool.map(run, mutants))
        killers = sorted({death.test for death in deaths if death is not None})
        while killers and (ill := run_tests(tree, killers, limit=limit)) is not None:
            print(f"{ill.test} fails without any mutant: {ill.how}", file=sys.stderr)
            killers.remove(ill.test)
            deaths = [None if death is not None and death.test == ill.test else death for death in deaths]
    return [make_row(mutant, death) for mutant, death in zip(mutants, deaths, strict=True)]


def describe(death: Death | None) -> str:
    """Return a death in a line."""
    if death is None:
        return "LIVES"
    size = f", {death.lines} lines, {death.files} files" if death.lines else ""
    count = f" after {death.examples} examples" if death.examples else ""
    return f"{death.how} in {death.test}{count}, {death.seconds} s{size}"


if __name__ == "__main__":
    sys.exit(main())
