"""Whole builds side by side with peers and physical limits, in one run, as ratios.

Each row pairs one command of kubeimage with a reference that does comparable work on the same bytes, the two in turn
(A B A B ...), after one warm-up of each. Figures are medians of wall seconds of whole processes. A peer that is not
installed, or whose daemon does not run, is left out, and said so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.builders import KUBEIMAGE, PEERS, Builder, Kubeimage, can_build
from benchmarks.inputs import Inputs
from benchmarks.measuring import PYTHON_ENVIRONMENT, Sample, Side, median, run, run_in_turn, settle

STAT_WALK = """
import os, sys
def walk(path):
    for entry in os.scandir(path):
        entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            walk(entry.path)
walk(sys.argv[1])
"""


class Row(NamedTuple):
    """A command of ours beside a reference.

    Shape: ``target`` is the ratio to stay at or below, None where none was set. ``allowance`` is taken off ours first.
    """

    work: str
    ours: list[Sample]
    reference: str
    theirs: list[Sample]
    target: float | None = None
    allowance: float = 0.0

    @property
    def ratio(self) -> float:
        """Median over median."""
        return (median(self.ours) - self.allowance) / median(self.theirs)

    def __str__(self) -> str:
        met = "" if self.target is None else "yes" if self.ratio <= self.target else "no"
        target = "" if self.target is None else f"{self.target:g}"
        return (
            f"| {self.work} | {median(self.ours):.3f} | {self.reference} | {median(self.theirs):.3f} "
            f"| {self.ratio:.2f} | {target} | {met} |"
        )


def _named(builder: Builder) -> str:
    version = builder.version()
    return version if builder.name.lower() in version.lower() else f"{builder.name} {version}"


class Bench:
    """The inputs, the builders, and pairs of commands."""

    def __init__(self, folder: Path, runs: int, scale: float, peers: list[str] | None) -> None:
        self.folder, self.runs = folder, runs
        self.inputs = Inputs(folder, scale)
        self.ours = Kubeimage(self.inputs, folder)
        self.rows: list[Row] = []
        self.peers: list[Builder] = []
        self.left_out: list[str] = []
        self.versions: list[str] = []
        self.notes: list[str] = []
        for kind in PEERS:
            builder = kind(self.inputs, folder)
            why = builder.missing() if peers is None or kind.name in peers else "not asked for"
            if why is None:
                self.peers.append(builder)
                self.versions.append(_named(builder))
            else:
                self.left_out.append(f"{kind.name} ({why})")

    def pair(
        self,
        work: str,
        ours: Side,
        reference: Side,
        *,
        target: float | None = None,
        allowance: float = 0.0,
        runs: int | None = None,
    ) -> None:
        """Run both in turn, as often as all rows or ``runs`` times at most, and keep the samples."""
        mine, theirs = run_in_turn((ours, reference), min(self.runs, runs or self.runs))
        self.keep(Row(work, mine, reference.name, theirs, target, allowance))

    def keep(self, row: Row) -> None:
        """Add a row, and tell it."""
        self.rows.append(row)
        print(row, file=sys.stderr, flush=True)

    def shell(self, name: str, script: str) -> Side:
        """Give a command for sh in the inputs' folder."""
        return Side(name, ["sh", "-c", f"cd '{self.folder}' && {script}"])

    def python(self, name: str, script: str, *arguments: str) -> Side:
        """Give a script for this Python."""
        return Side(name, [sys.executable, "-c", script, *arguments], environment=PYTHON_ENVIRONMENT)

    def against(
        self, work: str, name: str, targets: dict[str, float], *, cold: bool, before: Callable[[], None] = lambda: None
    ) -> None:
        """Pair our build of a context with each peer's."""
        if not cold:
            settle(self.inputs.made)
        for peer in self.peers:
            if can_build(peer, name, cold=cold):
                self.pair(
                    work,
                    self.ours.side(name, cold=cold, before=before),
                    peer.side(name, cold=cold, before=before),
                    target=targets.get(peer.name),
                )

    def measure_start(self) -> None:
        """Commands that have next to nothing to do: against Python's start with what they need."""
        click = self.python("import click", "import click")
        help_ = Side("kubeimage", [*KUBEIMAGE, "--help"], environment=PYTHON_ENVIRONMENT)
        self.pair("kubeimage --help", help_, click, target=2.5)
        run(self.ours.side("one"))
        self.pair("a build of one file, unchanged", self.ours.side("one"), click, target=2.2)

    def measure_small(self) -> None:
        """10,000 small files: against tar and a hash, and a walk that looks at each."""
        start = median(run_in_turn([self.python("start", "pass")], self.runs)[0])
        tar = self.shell("tar to openssl", "tar cf - small/tree | openssl dgst -sha256")
        walk = self.python("stat walk", STAT_WALK, self.inputs.context("small"))
        work = "10,000 small files, cold"
        self.pair(f"{work}, less Python's start", self.ours.side("small", cold=True), tar, target=3.5, allowance=start)
        self.against(work, "small", {}, cold=True)
        settle(self.inputs.made)
        self.pair("the same, unchanged", self.ours.side("small"), walk, target=3)
        self.against("the same, unchanged", "small", {"BuildKit": 0.6}, cold=False)

    def measure_big(self) -> None:
        """4 x 256 MiB: against copying and hashing them."""
        copy = self.shell("cp + openssl", "rm -rf copy && cp -r big/data copy && openssl dgst -sha256 big/data/*")
        self.pair("4 x 256 MiB, cold", self.ours.side("big", cold=True), copy, target=1.1)
        self.against("4 x 256 MiB, cold", "big", {}, cold=True)
        self.against("the same, unchanged", "big", {"BuildKit": 1}, cold=False)

    def measure_deep(self) -> None:
        """120 COPYs."""
        self.against("120 COPYs, cold", "deep", {"BuildKit": 0.15, "umoci": 1}, cold=True)
        self.against("120 COPYs, unchanged", "deep", {"BuildKit": 1}, cold=False)
        self.against("120 COPYs, last file edited", "deep", {"BuildKit": 1}, cold=False, before=self.inputs.edit_last)

    def measure_runs(self) -> None:
        """20 RUNs that write a small file each."""
        self.against("20 RUNs, cold", "runs", {"BuildKit": 0.6}, cold=True)
        self.against("20 RUNs, unchanged", "runs", {"BuildKit": 1}, cold=False)
        self.notes.append(self.run_cost())

    def measure_dialect(self) -> None:
        """What Docker's rules alone have, at the ratios of what is most like it."""
        self.against("20 stages, cold", "stages", {"BuildKit": 0.15}, cold=True)
        self.against("20 stages, unchanged", "stages", {"BuildKit": 1}, cold=False)
        walk = self.python("stat walk", STAT_WALK, self.inputs.context("added"))
        self.against("ADD of 10,000 files, cold", "added", {}, cold=True)
        self.pair("ADD of 10,000 files, unchanged", self.ours.side("added"), walk, target=3)
        self.against("ADD of 10,000 files, unchanged", "added", {"BuildKit": 0.6}, cold=False)
        self.against("ADD of a tar of 10,000 files, cold", "archive", {}, cold=True)
        self.against("ADD of a tar of 10,000 files, unchanged", "archive", {"BuildKit": 1}, cold=False)
        self.against("20 RUNs in the image's root, cold", "rooted", {"BuildKit": 0.6}, cold=True)
        self.against("20 RUNs in the image's root, unchanged", "rooted", {"BuildKit": 1}, cold=False)

    def run_cost(self) -> str:
        """Say what a RUN that does nothing costs: of 20 in one build, without the build around them."""
        unshare = self.shell("unshare", "for i in $(seq 20); do unshare -Urm true; done")
        sides = (self.ours.side("noops", cold=True), self.ours.side("nothing", cold=True), unshare)
        with_runs, without, unshare_time = (median(samples) for samples in run_in_turn(sides, self.runs))
        one, reference = (with_runs - without) / 20 * 1000, unshare_time / 20 * 1000
        return (
            f"An overlay RUN that does nothing takes {one:.0f} ms, `unshare -Urm true` {reference:.0f} ms: "
            f"{one - reference:.0f} ms more (target: less than 60)."
        )
