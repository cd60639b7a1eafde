"""Measure all that docs/benchmarks.md says, and write that page with its plots.

    python -m benchmarks [--write docs/benchmarks.md] [--runs 5] [--scale 1.0] [--only PART,...] [--peers NAME,...]

Each row pairs one command of kubeimage with a reference that does comparable work on the same bytes, the two in turn
(A B A B ...), after one warm-up of each. Figures are medians of wall seconds of whole processes. Memory is the largest
sum of PSS over a command's processes. A peer that is not installed, or whose daemon does not run, is left out, and said
so. ``--scale 0.01`` is a quick run, which shows that all of it works and says nothing about targets.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.compare import Bench
from benchmarks.deep import measure_kubefiles, measure_layers, measure_records, measure_store
from benchmarks.figures import Figure, Memory
from benchmarks.measuring import machine
from benchmarks.transfers import measure_transfers
from benchmarks.wide import measure_growth_of_files, measure_million, measure_wide

PICTURES = "pictures"


class Report:
    """What was measured, as a page."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.memory: list[Memory] = []
        self.figures: list[Figure] = []

    @property
    def parts(self) -> dict[str, Callable[[], object]]:
        """What there is to measure, by name."""
        bench = self.bench
        figures = {
            "files": measure_growth_of_files,
            "store": measure_store,
            "records": measure_records,
            "layers": measure_layers,
            "kubefiles": measure_kubefiles,
        }
        return {
            "start": bench.measure_start,
            "small": bench.measure_small,
            "big": bench.measure_big,
            "deep": bench.measure_deep,
            "runs": bench.measure_runs,
            "dialect": bench.measure_dialect,
            "transfers": lambda: measure_transfers(bench),
            "wide": lambda: self.memory.extend(measure_wide(bench)),
            "million": lambda: self.memory.extend(measure_million(bench)),
            **{name: partial(self._add, make) for name, make in figures.items()},
        }

    def _add(self, make: Callable[[Bench], Figure]) -> None:
        self.figures.append(make(self.bench))

    def measure(self, only: list[str] | None) -> None:
        """Take all parts, or those that are named."""
        for name, part in self.parts.items():
            if only is None or name in only:
                start = time.monotonic()
                part()
                print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)

    def page(self, command: str) -> str:
        """Return the page."""
        bench = self.bench
        lines = [
            "# Benchmarks",
            "",
            f"{machine()}. Medians of {bench.runs} runs in turn, whole processes; `{command}` makes this page.",
            "A ratio is our time over the reference's in the same run; a target is what it must not exceed.",
            "",
            "| work | s | reference | s | ratio | target | met |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *map(str, bench.rows),
            "",
            *(line for note in bench.notes for line in (note, "")),
            f"Beside it: {', '.join(filter(None, bench.versions)) or 'no other builder'}.",
            f"Left out: {', '.join(bench.left_out) or 'nothing'}.",
        ]
        if self.memory:
            lines += ["", "## Memory", "", "The largest sum of PSS over all processes of a command.", ""]
            lines += ["| work | MB | target | met |", "| --- | --- | --- | --- |", *map(str, self.memory)]
        if self.figures:
            lines += ["", "## How it grows"]
        for figure in self.figures:
            lines += ["", f"### {figure.title}", "", f"![{figure.title}]({PICTURES}/growth-{figure.name}.svg)", ""]
            lines += [f"In {figure.up}:", "", str(figure)]
        return "\n".join(lines) + "\n"

    def write(self, path: Path, command: str) -> None:
        """Write the page, and its plots beside it."""
        pictures = path.parent / PICTURES
        pictures.mkdir(exist_ok=True)
        for figure in self.figures:
            (pictures / f"growth-{figure.name}.svg").write_text(figure.svg)
        path.write_text(self.page(command))


def main() -> None:
    """Measure, and print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of full size; targets are for 1.0")
    parser.add_argument("--folder", help="where the inputs and the stores go")
    parser.add_argument("--peers", type=lambda text: text.split(","), help="only these; else all that are there")
    parser.add_argument("--only", metavar="PART,...", type=lambda text: text.split(","), help="only these parts")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page there, and its plots beside it")
    options = parser.parse_args()
    command = f"python -m benchmarks --runs {options.runs} --scale {options.scale:g}"
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report = Report(Bench(Path(folder), options.runs, options.scale, options.peers))
        unknown = set(options.only or ()) - report.parts.keys()
        if unknown:
            parser.error(f"--only: no part is called {', '.join(sorted(unknown))}, but {', '.join(report.parts)}")
        report.bench.inputs.make()
        report.measure(options.only)
    if options.write:
        report.write(options.write, command)
    print(report.page(command))


if __name__ == "__main__":
    main()
