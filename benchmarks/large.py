"""Builds of very many small files beside what a machine can do: wall seconds, and memory of all processes together.

    python -m benchmarks.large [--files 250000] [--runs 3] [--folder DIR]

Memory is the sum of PSS over the tree of processes, looked at fifty times a second: what several share counts once.
The files of a new folder are a minute old before the first build, so that they are remembered.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import PYTHON_ENVIRONMENT

_BETWEEN = 0.02
_YOUNG = 62
_WALK = """
import os, sys
def walk(folder):
    for entry in os.scandir(folder):
        entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            walk(entry.path)
walk(sys.argv[1])
"""


class Sample(NamedTuple):
    """One run. Units: ``wall`` in seconds, ``memory`` in MB, the peak of the sum of PSS."""

    wall: float
    memory: float


def make_tree(folder: Path, files: int) -> None:
    """Write files of 1 to 8 KiB, twenty a folder."""
    chance = random.Random(1)
    words = " ".join(chance.choice(["image", "name", "kind", "spec"]) for _ in range(20_000)).encode()
    for number in range(-(-files // 20)):
        place = folder / "tree" / f"d{number // 25:03}" / f"s{number:05}"
        place.mkdir(parents=True)
        for one in range(20):
            start = chance.randrange(80_000)
            (place / f"f{one:02}.yaml").write_bytes(
                b"%d/%d\n" % (number, one) + words[start : start + chance.randrange(1024, 8193)]
            )
    (folder / "Kubefile").write_text("FROM scratch\nCOPY tree tree\n")
    time.sleep(_YOUNG)


def memory_of(pid: int) -> float:
    """Return the sum of PSS of a process and all below it, in MB."""
    total, left = 0, [pid]
    while left:
        one = Path("/proc", str(left.pop()))
        try:
            lines = (one / "smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            for thread in (one / "task").iterdir():
                left += map(int, (thread / "children").read_text().split())
        except OSError:
            continue
    return total / 1024


def measure(command: Sequence[str]) -> Sample:
    """Run a command to its end; where it fails, so does the benchmark."""
    os.sync()
    start, peak = time.perf_counter(), 0.0
    with subprocess.Popen(command, env=PYTHON_ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
        while one.poll() is None:
            peak = max(peak, memory_of(one.pid))
            time.sleep(_BETWEEN)
    if one.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return Sample(time.perf_counter() - start, peak)


class Large:
    """A context and a store, and what is done with them."""

    def __init__(self, folder: Path, files: int) -> None:
        self.folder, self.store = folder, folder / "store"
        if not (folder / "Kubefile").exists():
            make_tree(folder, files)
        start = [sys.executable, "-m", "kubeimage", "--root", str(self.store), "build", "-t", "large:v1"]
        self.build = [*start, "-f", str(folder / "Kubefile"), str(folder)]
        self.edited = next((folder / "tree").rglob("f00.yaml"))

    def clear(self) -> None:
        """Begin without a store."""
        shutil.rmtree(self.store, ignore_errors=True)

    def edit(self) -> None:
        """Change the end of one file."""
        text = self.edited.read_text().partition("#")[0]
        self.edited.write_text(f"{text}#{time.monotonic_ns()}")

    def layer(self) -> str:
        """Return the path of the largest blob."""
        return str(max((self.store / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size))


def rows(large: Large) -> list[tuple[str, Callable[[], object], Sequence[str], Callable[[], str], float]]:
    """Return each row's name, what comes before each run, our command, the reference as a shell's, and the target."""
    tree = large.folder / "tree"
    walk = f"{sys.executable} -c '{_WALK}' {tree}"
    return [
        ("cold", large.clear, large.build, lambda: f"tar cf - {tree} | openssl dgst -sha256", 2),
        ("unchanged", lambda: None, large.build, lambda: walk, 1.5),
        (
            "one file edited",
            large.edit,
            large.build,
            lambda: f"cp {large.layer()} {large.folder}/copy && openssl dgst -sha256 {large.folder}/copy",
            2.5,
        ),
    ]


def main() -> None:
    """Measure, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=250_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files are, or are made (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        large = Large(options.folder or Path(temporary), options.files)
        print("| work | s | reference s | ratio | target | peak MB |\n| --- | ---: | ---: | ---: | ---: | ---: |")
        for name, before, command, reference, target in rows(large):
            ours, theirs = [], []
            for _ in range(options.runs):
                before()
                ours.append(measure(command))
                theirs.append(measure(["sh", "-c", reference()]))
            wall, other = (statistics.median(one.wall for one in samples) for samples in (ours, theirs))
            peak = max(one.memory for one in ours)
            print(f"| {name} | {wall:.2f} | {other:.2f} | {wall / other:.2f} | {target:g} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
