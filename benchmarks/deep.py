"""What lies in a store or in a run, and how commands grow with it: images, records of the cache, layers, Kubefiles."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

from benchmarks.builders import KUBEIMAGE, Kubeimage
from benchmarks.compare import Bench, Row
from benchmarks.figures import Figure, Series
from benchmarks.measuring import PYTHON_ENVIRONMENT, Side, median, run, run_in_turn

_NAME = "example.com/app:v0"
_MOST_RATIO = 3


def measure_store(bench: Bench) -> Figure:
    """Return how commands grow with the images of the store, and take the rows of the largest beside the smallest."""
    works = [10, 100, 1000, 10_000]
    works = [work for work in works if work <= max(10_000 * bench.inputs.scale, 100)]
    stores = [_store_of(bench, images) for images in works]
    series: Series = {}
    for name in ("tag", "rmi", "cached build", "images"):
        sides = [_side(bench, name, store) for store in stores]
        samples = run_in_turn(sides, bench.runs)
        series[name] = [(work, median(one)) for work, one in zip(works, samples, strict=True)]
        if name != "images":
            work, reference = f"{name}, {works[-1]:,} images in the store", f"{works[0]} images"
            bench.keep(Row(work, samples[-1], reference, samples[0], _MOST_RATIO))
    _remove(*stores)
    return Figure("images", "A store of many images", "images in the store", "seconds", series)


def measure_records(bench: Bench) -> Figure:
    """Return how a cached build grows with the records of the cache."""
    from kubeimage.cache import CacheRecords, DirectoryBuildCache
    from kubeimage.protocols.cache import CachedStep
    from kubeimage.protocols.cachekey import CacheKey
    from kubeimage.store import Store, cache_folder

    works = [work for work in (100, 1000, 10_000, 100_000) if work <= max(100_000 * bench.inputs.scale, 1000)]
    ours = Kubeimage(bench.inputs, bench.folder / "records")
    side = ours.side("nothing")
    run(side)
    line, there = [], 0
    for work in works:
        with Store.open(str(ours.store)) as store:
            cache = DirectoryBuildCache(CacheRecords(cache_folder(str(ours.store))), store.layers)
            for number in range(there, work):
                cache.record(CacheKey(None, (("number", str(number)),)), CachedStep(None))
        there = work
        line.append((float(work), median(run_in_turn([side], bench.runs)[0])))
    _remove(ours.store)
    return Figure("records", "A cache of many records", "records", "seconds", {"cached build": line})


def measure_layers(bench: Bench) -> Figure:
    """Return how builds grow with the layers of an image."""
    series: Series = {"cold": [], "unchanged": [], "last edited": []}
    for layers in (1, 8, 32, 128):
        context = bench.folder / "layers"
        context.mkdir()
        names = [f"f{number:03}" for number in range(layers)]
        for name in names:
            (context / name).write_text(name)
        (context / "Kubefile").write_text("\n".join(["FROM scratch", *(f"COPY {name} d" for name in names)]) + "\n")
        ours = Kubeimage(bench.inputs, bench.folder / "layers-store")
        last = ours.side("layers", before=_rewriting(context / names[-1]))
        sides = [ours.side("layers", cold=True), ours.side("layers"), last]
        for line, samples in zip(series.values(), run_in_turn(sides, min(bench.runs, 3)), strict=True):
            line.append((layers, median(samples)))
        _remove(context, ours.store)
    return Figure("layers", "An image of many layers", "layers", "seconds", series)


def measure_kubefiles(bench: Bench) -> Figure:
    """Return how ``pytest --kubefile`` grows with the Kubefiles, and take the row of the largest."""
    works = [work for work in (10, 100, 1000) if work <= max(1000 * bench.inputs.scale, 100)]
    line = []
    for work in works:
        folder = bench.folder / f"kubefiles{work}"
        sides = [_checking(_kubefiles(folder, number)) for number in (1, work)]
        one, many = run_in_turn(sides, min(bench.runs, 3))
        each = (min(sample.cpu for sample in many) - min(sample.cpu for sample in one)) / (work - 1) * 1000
        line.append((float(work), each))
        _remove(folder)
    bench.notes.append(
        f"`pytest --kubefile … -k 'parse or lint'` takes {line[-1][1]:.1f} ms of CPU for each of {works[-1]:,} "
        "Kubefiles, without the start (target: at most 2.5)."
    )
    return Figure("kubefiles", "A run over many Kubefiles", "Kubefiles", "ms of CPU each", {"parse and lint": line})


def _store_of(bench: Bench, images: int) -> Path:
    """Make a store of so many images that differ in a label, in one change of its list."""
    from kubeimage import BuildOptions, Reference, build_image, open_backends, parse
    from kubeimage.store import index

    root = bench.folder / f"images{images}"
    shutil.rmtree(root, ignore_errors=True)
    options = BuildOptions(references=(Reference.parse(_NAME),))
    with open_backends(str(root)) as backends:
        built = build_image(parse("FROM scratch\n"), bench.inputs.context("nothing"), backends, options=options)
        store = backends.store_on_disk("write")
        made = []
        for number in range(images):
            image = replace(built.image, labels={"number": str(number)})
            name = Reference.parse(f"example.com/team{number % 50}/app{number}:v1")
            made.append(index.make_entry(image, store.images._keep(image), name))  # noqa: SLF001
        store._blobs.sync()  # noqa: SLF001
        index.change_entries(store._layout, store._session, lambda before: [*before, *made])  # noqa: SLF001
    return root


def _side(bench: Bench, name: str, store: Path) -> Side:
    command = [*KUBEIMAGE, "--root", str(store)]
    if name == "cached build":
        words = ["build", "--progress=quiet", "-t", _NAME, bench.inputs.context("nothing")]
        return Side(name, [*command, *words])
    if name == "images":
        return Side(name, [*command, "images"])
    tag = Side(name, [*command, "tag", _NAME, "example.com/app:other"])
    if name == "tag":
        return tag
    return Side(name, [*command, "rmi", "example.com/app:other"], lambda: _quietly(tag))


def _quietly(side: Side) -> None:
    run(side)


def _kubefiles(folder: Path, number: int) -> str:
    for one in range(number):
        context = folder / str(number) / f"p{one:04}"
        context.mkdir(parents=True)
        (context / "helm").write_text("x")
        lines = ["FROM kubernetes:v1.19.8", f"ARG VERSION={one}", "COPY helm bin", "RUN echo $VERSION"]
        (context / "Kubefile").write_text("\n".join([*lines, f"CMD kubectl apply -f manifests/{one}.yaml"]) + "\n")
    return f"{folder}/{number}/*/Kubefile"


def _checking(pattern: str) -> Side:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--kubefile", pattern]
    where = {"PYTEST_DEBUG_TEMPROOT": pattern.partition("/*")[0]}
    return Side("pytest", [*command, "-k", "parse or lint"], environment={**PYTHON_ENVIRONMENT, **where})


def _rewriting(path: Path) -> Callable[[], None]:
    """Return what gives a file another content each time."""
    numbers = count()

    def rewrite() -> None:
        path.write_text(f"{next(numbers):09}")

    return rewrite


def _remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
