"""Measure what the pytest plugin costs, beside the same without it, in one run, as ratios.

    python benchmarks/plugin.py [--runs 9] [--files 10000] [--markdown docs/benchmarks-harness.md]

Each row pairs a command with a reference, the two in turn (A B A B ...), after one warm-up of each. Figures are medians
of CPU seconds of whole processes, user and system, children included.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
# Hypothesis loads the entry points of others whenever it is imported, as its own plugin does at the end of a run.
WITHOUT = {"HYPOTHESIS_NO_PLUGINS": "1"}

LOOKUP = """
import sys, time
from harness.images.image import BuiltImage
from harness.images.backends import DirectoryPlace
from kubeimage.api.building import BuildOptions, build, read_kubefile
place = DirectoryPlace(sys.argv[1] + "/store", "copy")
with place.open() as backends:
    result = build(read_kubefile(sys.argv[1] + "/Kubefile"), sys.argv[1], backends, BuildOptions())
image = BuiltImage(result.image, place, result)
start = time.process_time()
assert image.rootfs["tree/d0/f7"].size
print(time.process_time() - start)
"""
TARFILE = """
import sys, tarfile, time
from pathlib import Path
tar = max(Path(sys.argv[1], "store/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
start = time.process_time()
with tarfile.open(tar) as archive:
    assert archive.getmember("tree/d0/f7").size
print(time.process_time() - start)
"""


@dataclass(frozen=True)
class Row:
    """A command beside a reference. Units: seconds of CPU."""

    work: str
    reference: str
    ours: Sequence[float]
    theirs: Sequence[float]
    target: str

    def __str__(self) -> str:
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        return (
            f"| {self.work} | {ours * 1000:.0f} | {self.reference} | {theirs * 1000:.0f} "
            f"| {ours / theirs:.2f} | {(ours - theirs) * 1000:+.0f} | {self.target} |"
        )


def cpu_of(command: Sequence[str], folder: Path, **variables: str) -> float:
    """Run a command to its end, and give the CPU seconds that it took."""
    # Without bytecode every import would be measured as a compilation, which happens to nobody twice.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        command, cwd=folder, env={**environment, **variables}, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{ended.stdout}{ended.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start_up(work: str, arguments: Sequence[str], folder: Path, runs: int) -> Row:
    """Measure pytest with the plugin beside pytest without it, where there is no Kubefile."""
    ours, theirs = [], []
    for index in range(runs + 1):
        with_plugin = cpu_of([*PYTEST, *arguments], folder)
        without = cpu_of([*PYTEST, *arguments, "-p", "no:harness.plugin"], folder, **WITHOUT)
        if index:
            ours.append(with_plugin)
            theirs.append(without)
    return Row(work, "without the plugin", ours, theirs, "< 60 ms more")


def first_lookup(folder: Path, files: int, runs: int) -> Row:
    """Measure the first look into an image's rootfs beside Python's tarfile on the same layer."""
    for number in range(files):
        path = folder / f"tree/d{number // 1000}/f{number % 1000}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (1000 + number % 7000))
    (folder / "Kubefile").write_text("FROM scratch\nCOPY tree tree\n")
    ours, theirs = [], []
    for index in range(runs + 1):
        lookup, reference = (
            float(subprocess.run([sys.executable, "-c", script, folder], capture_output=True, check=True).stdout)
            for script in (LOOKUP, TARFILE)
        )
        if index:
            ours.append(lookup)
            theirs.append(reference)
    return Row(f"first lookup in an image of {files:,} files", "tarfile.getmember", ours, theirs, "< 200 ms")


def measure(folder: Path, runs: int, files: int) -> list[Row]:
    """Take every row."""
    tests, project = folder / "tests", folder / "project"
    tests.mkdir()
    project.mkdir()
    (tests / "test_it.py").write_text("def test_it(): pass\n")
    return [
        start_up("pytest --version", ["--version"], tests, runs),
        start_up("pytest --help", ["--help"], tests, runs),
        start_up("pytest --collect-only of a test", ["--collect-only"], tests, runs),
        start_up("pytest of a test", [], tests, runs),
        first_lookup(project, files, runs),
    ]


def markdown(rows: Sequence[Row], runs: int) -> str:
    """Give the table, with the machine's facts."""
    facts = (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}. Medians of {runs} runs in "
        "turn, CPU milliseconds; `benchmarks/plugin.py` makes this page."
    )
    head = "| work | ms | reference | ms | ratio | difference | target |\n| --- | --- | --- | --- | --- | --- | --- |"
    return "\n".join(["# What the plugin costs", "", facts, "", head, *map(str, rows), ""])


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--markdown", help="write the table to this file too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = markdown(measure(Path(folder), options.runs, options.files), options.runs)
    if options.markdown:
        Path(options.markdown).write_text(text)
    print(text)


if __name__ == "__main__":
    main()
