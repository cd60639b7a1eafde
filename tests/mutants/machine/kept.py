"""Verdicts that are kept, what they sum up to, and which mutations change nothing that anybody could notice."""

from __future__ import annotations

import json
import math
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.mutants.machine.mutations import Mutation, mutated, mutations
from tests.mutants.machine.trials import INCOMPETENT, Verdict

EXPLAINED = Path(__file__).with_name("equivalent.toml")

# What lived, and is not written so any more.
GONE = "rewritten"


class Kept(NamedTuple):
    """A verdict and the lines that its mutation changes.

    Shape: ``before`` and ``after`` are lines without their indentation; ``at_first`` is how the first trial ended,
           where a test was written since.
    """

    verdict: Verdict
    before: str
    after: str
    at_first: str = ""

    @classmethod
    def of(cls, tree: Path, verdict: Verdict) -> Kept:
        """Return a verdict with the lines of the tree."""
        return cls(verdict, *changed_lines(tree, verdict.mutation))

    def __str__(self) -> str:
        by = f" by {self.verdict.by}" if self.verdict.by else ""
        lines = f"\n    - {self.before}\n    + {self.after}"
        return f"{self.verdict.how} {self.verdict.seconds:.1f} s  {self.verdict.mutation}{by}{lines}"

    @property
    def key(self) -> str:
        """Return what it is known by, whatever lines its module has above it."""
        return f"{self.verdict.mutation.path}: {self.before} -> {self.after}"

    def found_again(self, tree: Path) -> Mutation | None:
        """Return the same mutation of a later tree, None where its line has changed."""
        old = self.verdict.mutation
        if not (tree / old.path).exists():
            return None
        near = sorted(
            (one for one in mutations(tree, old.path) if one.operator == old.operator),
            key=lambda one: abs(one.line - old.line),
        )
        lines = (tree / old.path).read_text().splitlines()
        for one in near:
            stands = lines[one.line - 1].strip() in self.before
            if stands and changed_lines(tree, one) == (self.before, self.after):
                return one
        return None


def changed_lines(tree: Path, mutation: Mutation) -> tuple[str, str]:
    """Return the lines that a mutation changes, and what becomes of them."""
    before = (tree / mutation.path).read_text().splitlines()
    after = mutated(tree, mutation).splitlines()
    start = next((place for place, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), 0)
    most = min(len(before), len(after)) - start
    end = next((place for place in range(most) if before[-1 - place] != after[-1 - place]), most)
    return tuple("\n".join(map(str.strip, lines[start : len(lines) - end])) for lines in (before, after))  # type: ignore[return-value]


def read_kept(path: Path | None) -> dict[Mutation, Kept]:
    """Return what an earlier run found: of two lines about a mutation the later one."""
    if path is None or not path.exists():
        return {}
    found = {}
    for line in path.read_text().splitlines():
        (mutation, *rest), before, after, at_first = json.loads(line)
        one = Kept(Verdict(Mutation(*mutation), *rest), before, after, at_first)
        found[one.verdict.mutation] = one
    return found


def keep(path: Path | None, one: Kept) -> None:
    """Add a verdict to the file."""
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps(one) + "\n")


def read_explained(path: Path) -> Mapping[str, str]:
    """Return why some mutations change nothing: by their keys."""
    return {key: str(why) for key, why in tomllib.loads(path.read_text()).items()} if path.exists() else {}


def summary(kept: Sequence[Kept], explained: Mapping[str, str]) -> tuple[str, float]:
    """Return how many are dead of those that a test could notice, and that part.

    Beside it stands the interval in which 95 % of such samples have the true part (Wilson's).
    """
    living = [one for one in kept if one.verdict.is_alive]
    same = [one for one in living if one.key in explained]
    since = [one for one in kept if one.at_first and one.verdict.is_dead]
    hows = Counter(one.verdict.how for one in kept)
    count = len(kept) - hows[INCOMPETENT] - hows[GONE] - len(same)
    dead = count - len(living) + len(same)
    lines = [str(one) for one in living if one.key not in explained]
    said = ", ".join(f"{number} {how}" for how, number in sorted(hows.items()))
    lines.append(f"{len(kept)} sampled: {said}")
    lines.append(f"{len(since)} of the dead lived at first, {len(same)} of the living change nothing")
    if not count:
        return "\n".join([*lines, "no mutation"]), 1.0
    low, high = interval(dead, count)
    lines.append(f"{dead} of {count} dead: {dead / count:.1%}, 95 % interval {low:.1%} to {high:.1%}")
    return "\n".join(lines), dead / count


def interval(dead: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a part."""
    z, part = 1.959964, dead / count
    middle = part + z * z / (2 * count)
    width = z * math.sqrt(part * (1 - part) / count + z * z / (4 * count * count))
    return (middle - width) / (1 + z * z / count), (middle + width) / (1 + z * z / count)
