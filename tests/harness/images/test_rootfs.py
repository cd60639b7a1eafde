"""Which bytes of a layer are read: its headers for a question about the tree, a file's own when it is asked for."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from harness.asking.options import Settings
from harness.cases.building import KubeBuild
from harness.cases.workshop import Workshop
from harness.images.backends import DirectoryPlace
from harness.images.image import BuiltImage
from harness.images.rootfs import differing_paths
from harness.trees import HardLink
from kubeimage.api.backends import Backends
from kubeimage.image.digest import Digest
from kubeimage.protocols.layers import LayerStore

BLOCK = 512
FILES = 40
SIZE = 3000


class Counted(io.FileIO):
    """A file that counts the bytes that are read of it, wherever a buffer in front of it leads to."""

    def __init__(self, descriptor: int, counts: list[int]) -> None:
        super().__init__(descriptor)
        self.counts = counts

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self.counts.append(count or 0)
        return count or 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.counts.append(len(data))
        return data

    def readall(self) -> bytes:
        raise AssertionError("nobody asked for all of it")


@dataclass(frozen=True)
class CountingLayers:
    """Opens the layers of a real store behind a counter, with a buffer in front of it."""

    layers: LayerStore
    counts: list[int]

    def open(self, diff_id: Digest) -> io.BufferedReader:
        with self.layers.open(diff_id) as tar:
            return io.BufferedReader(Counted(os.dup(tar.fileno()), self.counts))


@dataclass(frozen=True)
class CountingPlace(DirectoryPlace):
    """A real store on disk; ``counts`` are the sizes of all reads of layers."""

    counts: list[int] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[Backends]:
        with super().open() as backends:
            yield replace(backends, layers=cast("LayerStore", CountingLayers(backends.layers, self.counts)))


@pytest.fixture
def image(tmp_path: Path) -> BuiltImage:
    """An image of small files, which a buffer would read in passing, and a large one."""
    context = {f"small/{number}": "x" * SIZE for number in range(FILES)}
    build = KubeBuild(Workshop(Settings(backend="copy"), str(tmp_path)))
    built = build(
        "FROM scratch\nCOPY small large same .\nCOPY note .\n",
        {**context, "large": b"y" * (1 << 22), "same": HardLink("large"), "note": "a note"},
    )
    return BuiltImage(built.image, CountingPlace(built.place.root or "", "copy"), built.result)


def counts_of(image: BuiltImage) -> list[int]:
    assert isinstance(image.place, CountingPlace)
    return image.place.counts


def counted(image: BuiltImage) -> int:
    total = sum(counts_of(image))
    counts_of(image).clear()
    return total


def test_a_lookup_reads_headers_and_no_content(image: BuiltImage) -> None:
    assert image.rootfs["small/7"].mode == 0o644
    assert "nowhere" not in image.rootfs
    assert image.rootfs.glob("small/1?") != []
    assert image.layer_of("note").line == 3
    assert (image.whiteouts, image.wasted) == ((), 0)

    headers = 1 + FILES + 2 + 1  # the directory, the small files, the large one and its link, the note
    assert counted(image) == (headers + 2 * 2) * BLOCK


@pytest.mark.parametrize(("path", "size"), [("small/7", SIZE), ("large", 1 << 22), ("same", 1 << 22), ("note", 6)])
def test_reading_a_file_reads_its_content_and_no_byte_beside_it(image: BuiltImage, path: str, size: int) -> None:
    assert image.rootfs[path].size == size
    counted(image)

    data = image.rootfs[path].read_bytes()

    assert len(data) == counted(image) == size


def test_a_comparison_reads_files_of_the_expected_size_alone(image: BuiltImage) -> None:
    assert image.rootfs != {"large": "no"}
    assert counted(image) % BLOCK == 0

    assert list(differing_paths(image.rootfs, {"large": "no", "note": "b note"}))[1] == "note"

    assert counted(image) == len("a note")


def test_a_large_file_is_read_piece_by_piece(image: BuiltImage) -> None:
    assert image.rootfs["large"].digest == Digest.of(b"y" * (1 << 22))

    assert max(counts_of(image)) <= 1 << 20


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_the_content_can_be_read_in_pieces_of_any_size(image: BuiltImage, size: int) -> None:
    with image.rootfs["small/7"].open() as stream:
        pieces = list(iter(lambda: stream.read(size), b""))

    assert b"".join(pieces) == b"x" * SIZE
