"""docs/mutants.md: the table of all mutants, written and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from tests.mutants.patches import Mutant
from tests.mutants.watching import Death

_HEAD = """\
# Mutants

Defects that are put into the code on purpose, one at a time, to see whether the tests find them. Each is a patch in
`tests/mutants/patches/`; [fuzzing.md](fuzzing.md) tells how they are run. Traps are mistakes of other builders that
ours must not make. This page is generated: `python -m tests.mutants --write`.

"""
_COLUMNS = ("mutant", "what is wrong", "trap", "killed by", "examples", "seconds", "lines", "files")
_LEGEND = """
A test of `tests/properties` tries generated projects: *examples* is how many until one failed, *lines* and *files* are
the size of the Kubefile and of the context to which that one shrank. Other tests have none. *Seconds* are the test's
own until its first failure. All but the seconds are the same in each run.
"""


class Row(NamedTuple):
    """One line of the table. Shape: all as it is printed."""

    mutant: str
    what: str
    traps: str
    killed_by: str
    examples: str
    seconds: str
    lines: str
    files: str


def make_row(mutant: Mutant, death: Death | None) -> Row:
    """Say how a mutant died; None is for one that lives."""
    said = (mutant.name, mutant.what, " ".join(mutant.traps))
    if death is None:
        return Row(*said, "**nothing**", "", "", "", "")
    where = death.test.removeprefix("tests/")
    killed_by = f"`{where}`" + (f" ({death.how})" if death.how in {"timeout", "before it began"} else "")
    numbers = (
        "" if value is None else str(value) for value in (death.examples, death.seconds, death.lines, death.files)
    )
    return Row(*said, killed_by, *numbers)


def render(rows: Sequence[Row]) -> str:
    """Return the page."""
    lines = [_line(_COLUMNS), _line(["---"] * 4 + ["---:"] * 4), *map(_line, sorted(rows))]
    return f"{_HEAD}{summary(rows)}\n\n" + "\n".join(lines) + "\n" + _LEGEND


def summary(rows: Sequence[Row]) -> str:
    """Say how many died, and how small the counterexamples are."""
    dead = [row for row in rows if row.seconds]
    by_property = [row for row in dead if row.examples]
    sizes = [(int(row.lines), int(row.files)) for row in dead if row.lines and row.files]
    middle = ""
    if sizes:
        lines, files = (median(size[which] for size in sizes) for which in (0, 1))
        middle = f" The median counterexample has {lines:g} Kubefile lines and {files:g} files."
    return f"Killed: {len(dead)} of {len(rows)}, {len(by_property)} of them by a property or a state machine.{middle}"


def read_rows(page: str) -> Mapping[str, Row]:
    """Return the rows of a page by mutant."""
    cells = [line.strip("|").split(" | ") for line in page.splitlines() if line.startswith("| ")][2:]
    rows = [Row(*map(str.strip, row)) for row in cells if len(row) == len(_COLUMNS)]
    return {row.mutant: row for row in rows}


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
