"""Measure whole builds side by side with peers and physical limits, in one run, as ratios.

    python benchmarks/compare.py [--runs 5] [--scale 1.0] [--folder DIR] [--markdown docs/benchmarks.md]

Each row pairs one command of kubeimage with a reference that does comparable work on the same bytes, the two in turn
(A B A B ...), after one warm-up of each. Figures are medians of wall seconds; memory is the largest peak of
kubeimage's process. A peer that is not installed is left out, and said so.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

KUBEIMAGE = [sys.executable, "-m", "kubeimage"]
STAT_WALK = """
import os, sys
def walk(path):
    for entry in os.scandir(path):
        entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            walk(entry.path)
walk(sys.argv[1])
"""


@dataclass(frozen=True)
class Sample:
    """One run of a command. Units: ``wall`` in seconds, ``rss`` in MB."""

    wall: float
    rss: float


@dataclass(frozen=True)
class Row:
    """A command of ours beside a reference. Shape: ``target`` is the ratio to stay below."""

    work: str
    reference: str
    ours: list[Sample]
    theirs: list[Sample]
    target: float

    @property
    def ratio(self) -> float:
        """Median over median."""
        return median(self.ours) / median(self.theirs)


def median(samples: list[Sample]) -> float:
    """Give the median wall time."""
    return statistics.median(sample.wall for sample in samples)


def run(command: list[str], environment: dict[str, str]) -> Sample:
    """Run a command to its end, and measure it from outside."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.stderr.close()
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{errors.decode(errors='replace')}")
    return Sample(wall, usage.ru_maxrss / 1024)


class Bench:
    """The inputs, and pairs of commands on them."""

    def __init__(self, folder: Path, runs: int, scale: float) -> None:
        self.folder, self.runs, self.scale = folder, runs, scale
        self.store = folder / "store"
        self.environment = {**os.environ, "KUBEIMAGE_ROOT": str(self.store)}
        self.rows: list[Row] = []

    def make_inputs(self) -> None:
        """Write the contexts: many small files, a few big ones, 120 COPYs, 20 RUNs."""
        random.seed(1)
        small = self._context("small", ["FROM scratch", "COPY tree tree"])
        words = " ".join(random.choice(["image", "name", "kind", "spec", "v1"]) for _ in range(20_000)).encode()
        for number in range(int(500 * self.scale) or 1):
            folder = small / "tree" / f"d{number // 25:02}" / f"s{number:03}"
            folder.mkdir(parents=True)
            for index in range(20):
                size, start = random.randrange(1024, 8193), random.randrange(80_000)
                (folder / f"f{index:02}.yaml").write_bytes(
                    f"# {number}/{index}\n".encode() + words[start : start + size]
                )
        big = self._context("big", ["FROM scratch", "COPY data data"])
        (big / "data").mkdir()
        for number in range(4):
            with (big / "data" / f"f{number}").open("wb") as stream:
                for _ in range(int(256 * self.scale) or 1):
                    stream.write(random.randbytes(1 << 20))
        deep = self._context("deep", ["FROM scratch", *(f"COPY f{number:03} d" for number in range(120))])
        for number in range(120):
            (deep / f"f{number:03}").write_text(f"{random.random()}\n" * 50)
        self._context("runs", ["FROM scratch", *(f"RUN echo step {number} > f{number:02}" for number in range(20))])
        self._context("noops", ["FROM scratch", *(f"RUN : {number}" for number in range(20))])
        self._context("nothing", ["FROM scratch"])

    def _context(self, name: str, lines: list[str]) -> Path:
        context = self.folder / name
        context.mkdir()
        (context / "Kubefile").write_text("\n".join(lines) + "\n")
        return context

    def build(self, name: str, *options: str) -> list[str]:
        """Give our command that builds a context."""
        return [*KUBEIMAGE, "build", "--progress=quiet", "-t", f"{name}:v1", *options, str(self.folder / name)]

    def pair(
        self,
        work: str,
        ours: list[str],
        reference: str,
        theirs: list[str],
        *,
        target: float,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """Run both in turn, and keep the samples."""
        samples: tuple[list[Sample], list[Sample]] = ([], [])
        for index in range(self.runs + 1):
            for which, command in enumerate((ours, theirs)):
                if which == 0:
                    before()
                sample = run(command, self.environment)
                if index:
                    samples[which].append(sample)
        self.rows.append(Row(work, reference, *samples, target))
        row = self.rows[-1]
        print(f"{work}: {median(row.ours):.3f} s, {row.ratio:.2f} x {reference}", file=sys.stderr, flush=True)

    def shell(self, script: str) -> list[str]:
        """Give a command for sh in the inputs' folder."""
        return ["sh", "-c", f"cd '{self.folder}' && {script}"]

    def measure(self) -> None:
        """Take every row."""
        wipe = self._wipe
        self.pair(
            "cold COPY of the small files", self.build("small", "--no-cache"),
            "tar to openssl", self.shell("tar cf - small/tree | openssl dgst -sha256"), target=2.0, before=wipe,
        )  # fmt: skip
        self.pair(
            "the same again, unchanged", self.build("small"),
            "stat walk", [sys.executable, "-c", STAT_WALK, str(self.folder / "small")], target=3.0,
        )  # fmt: skip
        self.pair(
            "cold COPY of the big files", self.build("big", "--no-cache"),
            "cp + openssl", self.shell("cp -r big/data copy && cat big/data/* | openssl dgst -sha256 && rm -r copy"),
            target=1.3, before=wipe,
        )  # fmt: skip
        self.pair("120 COPYs, cold", self.build("deep", "--no-cache"), "cp of them", self.shell(
            "cp -r deep copy && sync copy && rm -r copy"), target=0.0, before=wipe)  # fmt: skip
        self.pair(
            "120 COPYs, unchanged", self.build("deep"), "python3 -c pass", [sys.executable, "-c", "pass"], target=0.0
        )
        self.pair(
            "20 RUNs, cold", self.build("runs", "--no-cache"),
            "20 x unshare -Urm true", self.shell("for i in $(seq 20); do unshare -Urm true; done"),
            target=0.0, before=wipe,
        )  # fmt: skip
        self.pair(
            "kubeimage --help",
            [*KUBEIMAGE, "--help"],
            "import click",
            [sys.executable, "-c", "import click"],
            target=2.5,
        )
        if shutil.which("buildah"):
            self._against_buildah()

    def _against_buildah(self) -> None:
        base = ["buildah", "--root", str(self.folder / "b"), "--runroot", str(self.folder / "br")]
        for name in ("small", "deep"):
            theirs = [
                *base,
                "bud",
                "--layers",
                "--no-cache",
                "-q",
                "-f",
                f"{self.folder}/{name}/Kubefile",
                f"{self.folder}/{name}",
            ]
            self.pair(
                f"{name}, cold", self.build(name, "--no-cache"), "buildah bud", theirs, target=1.0, before=self._wipe
            )

    def run_cost(self) -> str:
        """Say what a RUN that does nothing costs: of 20 in one build, without the build around them."""
        with_runs, without, unshare = (
            [run(command, self.environment).wall for _ in range(self.runs)]
            for command in (
                self.build("noops", "--no-cache", "--mount=overlay"),
                self.build("nothing", "--no-cache"),
                self.shell("for i in $(seq 20); do unshare -Urm true; done"),
            )
        )
        one = (statistics.median(with_runs) - statistics.median(without)) / 20 * 1000
        reference = statistics.median(unshare) / 20 * 1000
        return (
            f"An overlay RUN that does nothing takes {one:.0f} ms, `unshare -Urm true` {reference:.0f} ms: "
            f"{one - reference:.0f} ms more (target: less than 60)."
        )

    def _wipe(self) -> None:
        shutil.rmtree(self.store, ignore_errors=True)

    def markdown(self) -> str:
        """Give the table, with the machine's facts."""
        facts = (
            f"{os.cpu_count()} cores, {platform.machine()}, kernel {platform.release()}, "
            f"Python {platform.python_version()}. Medians of {self.runs} runs in turn, whole processes; "
            f"`benchmarks/compare.py --scale {self.scale}` makes this page."
        )
        lines = [
            "# Benchmarks",
            "",
            facts,
            "",
            "| work | s | reference | s | ratio | target | peak MB |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for row in self.rows:
            target = f"{row.target:g}" if row.target else ""
            peak = max(sample.rss for sample in row.ours)
            lines.append(
                f"| {row.work} | {median(row.ours):.3f} | {row.reference} | {median(row.theirs):.3f} "
                f"| {row.ratio:.2f} | {target} | {peak:.0f} |"
            )
        missing = [tool for tool in ("buildah", "docker") if not shutil.which(tool)]
        return "\n".join(
            [
                *lines,
                "",
                self.run_cost(),
                "",
                f"Not installed here, and so not compared: {', '.join(missing) or 'none'}.",
                "",
            ]
        )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--folder", help="where the inputs and the store go")
    parser.add_argument("--markdown", help="write the table to this file too")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bench = Bench(Path(folder), options.runs, options.scale)
        bench.make_inputs()
        bench.measure()
        text = bench.markdown()
    if options.markdown:
        Path(options.markdown).write_text(text)
    print(text)


if __name__ == "__main__":
    main()
