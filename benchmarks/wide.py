"""Many files: against reading, walking and copying as much, with the memory that it takes, and how all of it grows."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.builders import Kubeimage
from benchmarks.compare import STAT_WALK, Bench
from benchmarks.figures import Figure, Memory, Series
from benchmarks.measuring import Side, median, peak_pss, run, run_in_turn, settle

FILES, MANY_FILES = 250_000, 1_000_000
_SIZE, _SMALL_SIZE = 4096, 64
_A_FOLDER = 500
_MEMORY, _MEMORY_OF_MANY = 150, 400


def measure_wide(bench: Bench) -> Iterator[Memory]:
    """Take the rows of 250,000 files, and yield the memory of each."""
    files = max(int(FILES * bench.inputs.scale), 100)
    context = make_files(bench.folder / "wide", files, _SIZE)
    made = time.monotonic()
    ours = Kubeimage(bench.inputs, bench.folder / "wide-store")
    work = f"{files:,} files"
    sides = Sides(ours, "wide", context)
    tar = bench.shell("tar to openssl", "tar cf - wide/tree | openssl dgst -sha256")
    bench.pair(f"{work}, cold", sides.cold, tar, target=2)
    yield Memory(f"{work}, cold", peak_pss(sides.cold), _MEMORY)
    settle(made)
    run(sides.unchanged)
    walk = bench.python("stat walk", STAT_WALK, str(context))
    bench.pair(f"{work}, unchanged", sides.unchanged, walk, target=1.5)
    yield Memory(f"{work}, unchanged", peak_pss(sides.unchanged), _MEMORY)
    bench.pair(f"{work}, one edited", sides.edited, _copying(bench, ours.store), target=2.5)
    yield Memory(f"{work}, one edited", peak_pss(sides.edited), _MEMORY)
    _remove(context, ours.store, bench.folder / "copy")


def measure_million(bench: Bench) -> Iterator[Memory]:
    """Yield the memory that a million files take."""
    files = max(int(MANY_FILES * bench.inputs.scale), 100)
    context = make_files(bench.folder / "million", files, _SMALL_SIZE)
    made = time.monotonic()
    ours = Kubeimage(bench.inputs, bench.folder / "million-store")
    sides = Sides(ours, "million", context)
    yield Memory(f"{files:,} files, cold", peak_pss(sides.cold), _MEMORY_OF_MANY)
    settle(made)
    run(sides.unchanged)
    yield Memory(f"{files:,} files, unchanged", peak_pss(sides.unchanged), _MEMORY_OF_MANY)
    yield Memory(f"{files:,} files, one edited", peak_pss(sides.edited), _MEMORY_OF_MANY)
    _remove(context, ours.store)


def measure_growth_of_files(bench: Bench) -> Figure:
    """Return how builds grow with the number of files."""
    series: Series = {"cold": [], "unchanged": [], "one edited": [], "tar to openssl": []}
    runs, works = min(bench.runs, 3), _steps(100, int(100_000 * bench.inputs.scale))
    contexts = [make_files(bench.folder / f"grown{files}", files, _SIZE) for files in works]
    made = time.monotonic()
    stores = [Kubeimage(bench.inputs, bench.folder / f"{context.name}-store") for context in contexts]
    sides = [Sides(ours, context.name, context) for ours, context in zip(stores, contexts, strict=True)]
    for files, context, side in zip(works, contexts, sides, strict=True):
        tar = bench.shell("tar to openssl", f"tar cf - {context.name}/tree | openssl dgst -sha256")
        ours, theirs = run_in_turn([side.cold, tar], runs)
        series["cold"].append((files, median(ours)))
        series["tar to openssl"].append((files, median(theirs)))
    settle(made)
    for files, side in zip(works, sides, strict=True):
        run(side.unchanged)
        unchanged, edited = run_in_turn([side.unchanged, side.edited], runs)
        series["unchanged"].append((files, median(unchanged)))
        series["one edited"].append((files, median(edited)))
    _remove(*contexts, *(ours.store for ours in stores))
    return Figure("files", "A build of many files", "files of 4 KiB", "seconds", series)


class Sides:
    """The builds of one context. Before the last of them one file is changed, to another content of the same size."""

    def __init__(self, ours: Kubeimage, name: str, context: Path) -> None:
        self.cold, self.unchanged = ours.side(name, cold=True), ours.side(name)
        self.edited = ours.side(name, before=self._edit)
        self._file = context / "tree" / "d00" / "s0000" / "f0000000"

    def _edit(self) -> None:
        data = self._file.read_bytes()
        self._file.write_bytes(data[:-16] + random.randbytes(8).hex().encode())


def make_files(context: Path, files: int, size: int) -> Path:
    """Make a context of so many files of ``size`` bytes, and return it."""
    chance = random.Random(1)
    content = chance.randbytes(size)
    context.mkdir(parents=True)
    (context / "Kubefile").write_text("FROM scratch\nCOPY tree tree\n")
    for start in range(0, files, _A_FOLDER):
        folder = context / "tree" / f"d{start // _A_FOLDER % 100:02}" / f"s{start // _A_FOLDER:04}"
        folder.mkdir(parents=True)
        for number in range(start, min(start + _A_FOLDER, files)):
            (folder / f"f{number:07}").write_bytes(b"%d\n" % number + content[: size - 8])
    return context


def _copying(bench: Bench, store: Path) -> Side:
    layer = f"$(ls -S '{store}'/blobs/sha256/* | head -1)"
    return bench.shell("cp + openssl of the layer", f"cp {layer} copy && openssl dgst -sha256 copy")


def _steps(first: int, last: int) -> list[int]:
    steps = [first]
    while steps[-1] * 10 <= last:
        steps.append(steps[-1] * 10)
    return steps


def _remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
