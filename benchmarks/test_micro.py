"""The hot paths one by one, in this process: ``pytest -n0 benchmarks/test_micro.py``."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kubeimage.builder.steps import copy_key
from kubeimage.context import ContextCollector, StatIndex
from kubeimage.image.digest import Digest
from kubeimage.kubefile import parse
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.reader import iter_entries
from kubeimage.layer.tree import Tree
from kubeimage.layer.writer import write_layer
from kubeimage.protocols.context import CopyRequest

FOLDERS, FILES = 50, 20
KUBEFILE = "FROM scratch\n" + "".join(f"ARG K{one}=v\nCOPY a{one} b\nRUN echo $K{one}\n" for one in range(60))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 files of 4 KiB, old enough for the stat index."""
    root = tmp_path_factory.mktemp("context")
    for number in range(FOLDERS):
        folder = root / f"d{number:03}"
        folder.mkdir()
        for index in range(FILES):
            (folder / f"f{index:02}").write_bytes(os.urandom(4096))
    return root


@pytest.fixture(scope="module")
def entries(context: Path) -> Sequence[Entry]:
    return ContextCollector(str(context)).collect(CopyRequest(("*",), "data")).entries


@pytest.fixture(scope="module")
def digested(context: Path, entries: Sequence[Entry]) -> Sequence[Entry]:
    return ContextCollector(str(context)).with_digests(entries)


def test_collecting_sources(benchmark: BenchmarkFixture, context: Path) -> None:
    collector = ContextCollector(str(context))

    found = benchmark(collector.collect, CopyRequest(("*",), "data"))

    assert len(found.entries) == FOLDERS * (FILES + 1)


def test_looking_digests_up(
    benchmark: BenchmarkFixture, context: Path, digested: Sequence[Entry], tmp_path: Path
) -> None:
    later = 10**18 * 5
    index = StatIndex(str(tmp_path), str(context), clock=lambda: later, find_ground=lambda _: b"here")
    collector = ContextCollector(str(context), stat_index=index)
    collector.expect(digested)
    collector.remember(digested)

    again = benchmark(collector.with_digests, [one._replace(digest=None) for one in digested])

    assert again == list(digested)


def test_making_a_key(benchmark: BenchmarkFixture, digested: Sequence[Entry]) -> None:
    key = benchmark(lambda: copy_key(Digest("0" * 64), (("kind", "COPY"),), digested).digest)

    assert len(key.hex) == 64


def test_writing_a_layer(benchmark: BenchmarkFixture, entries: Sequence[Entry]) -> None:
    digest = hashlib.sha256()

    written = benchmark(write_layer, entries, digest.update)

    assert len(written.digests) == FOLDERS * FILES


def test_reading_headers(benchmark: BenchmarkFixture, entries: Sequence[Entry]) -> None:
    tar = io.BytesIO()
    write_layer(entries, tar.write)

    def read() -> list[Entry]:
        tar.seek(0)
        return list(iter_entries(tar))

    assert [one.path for one in benchmark(read)] == [one.path for one in entries]


def test_stacking_a_tree(benchmark: BenchmarkFixture, entries: Sequence[Entry]) -> None:
    tree = benchmark(Tree, entries)

    assert sum(one.kind is Kind.FILE for one in tree.values()) == FOLDERS * FILES


def test_parsing_a_long_kubefile(benchmark: BenchmarkFixture) -> None:
    kubefile = benchmark(parse, KUBEFILE)

    assert len(kubefile.layered) == 120
