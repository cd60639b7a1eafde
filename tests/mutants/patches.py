"""Mutants as patches, each of one defect: a text that tells, an empty line, and a unified diff.

    The ARGs that a RUN sees are no part of its key.

    Trap: D34
    Tests: tests/properties/test_cache.py

    --- a/kubeimage/builder/plan.py
    +++ b/kubeimage/builder/plan.py
    @@ -99 +99 @@
    -        arguments = ...
    +        arguments = []

``git apply --unidiff-zero`` takes them, but line numbers don't matter here: what a hunk takes away, with the lines
around it, stands in the file once, wherever that is. So the fewer lines there are, the longer a patch lasts. ``Tests``
are where to look for its death first.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PATCHES = Path(__file__).parent / "patches"


class StaleMutantError(Exception):
    """A patch that does not fit the code any more."""


class Hunk(NamedTuple):
    """Lines of one file, and what comes in their place."""

    file: str
    old: str
    new: str


class Mutant(NamedTuple):
    """A defect to be found. Shape: ``name`` is that of the patch's file, ``traps`` are numbers as "D34"."""

    name: str
    what: str
    traps: tuple[str, ...]
    tests: tuple[str, ...]
    hunks: tuple[Hunk, ...]


def all_mutants() -> list[Mutant]:
    """Read every patch, in the order of their names."""
    return [read_mutant(path) for path in sorted(PATCHES.glob("*.patch"), key=lambda path: path.stem)]


def read_mutant(path: Path) -> Mutant:
    """Read a patch.

    Raises: ValueError for a file that is none.
    """
    head, _, diff = path.read_text().partition("\n--- ")
    what, _, fields = head.partition("\n\n")
    said = dict(line.split(": ", 1) for line in fields.splitlines() if line)
    if not diff or not said.get("Tests"):
        raise ValueError(f"{path.name} wants a line that says what is wrong, Trap, Tests, and a diff")
    traps = tuple(said.get("Trap", "").split())
    return Mutant(path.stem, " ".join(what.split()), traps, tuple(said["Tests"].split()), tuple(_hunks(diff)))


def apply(mutant: Mutant, root: Path) -> None:
    """Put the defect into the tree at ``root``.

    Raises: StaleMutantError, having written nothing.
    """
    for name, text in mutated(mutant, root).items():
        (root / name).write_text(text)


def mutated(mutant: Mutant, root: Path) -> dict[str, str]:
    """Return the files of the tree at ``root`` that the defect changes, as they are with it.

    Raises: StaleMutantError.
    """
    files: dict[str, str] = {}
    for file, old, new in mutant.hunks:
        text = files.get(file) or (root / file).read_text()
        places = [found.start() for found in re.finditer(f"^{re.escape(old)}", text, re.MULTILINE)]
        if len(places) != 1:
            raise StaleMutantError(
                f"{mutant.name}.patch: {file} has these lines {len(places)} times, where once is wanted; "
                f"write the same defect into today's code:\n{old}"
            )
        files[file] = text[: places[0]] + new + text[places[0] + len(old) :]
    return files


def _hunks(diff: str) -> list[Hunk]:
    """Cut a diff whose first ``---`` is gone into hunks."""
    found: list[Hunk] = []
    file = ""
    for line in diff.splitlines():
        mark, text = line[:1], f"{line[1:]}\n"
        if line.startswith("+++ "):
            file = line.removeprefix("+++ b/")
        elif mark == "@":
            found.append(Hunk(file, "", ""))
        elif mark in {" ", "-", "+"} and file and not line.startswith("--- "):
            last = found.pop()
            found.append(Hunk(file, last.old + text * (mark != "+"), last.new + text * (mark != "-")))
    return found
