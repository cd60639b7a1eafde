"""Gzip streams in which some blocks are compressed and others stored."""

import gzip
import random
import zlib
from collections.abc import Iterator, Sequence
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from kubeimage.layer.gzipstream import BLOCK, GzipCompressor

TEXT = b"image: registry.example.com/team/app:v1\n" * 8000
NOISE = random.Random(3).randbytes(BLOCK)
MODULES = {"isal": isal_zlib, "zlib": zlib}


def compress(pieces: Sequence[bytes], module: ModuleType) -> bytes:
    compressor = GzipCompressor(1, module)
    return b"".join([*map(compressor.compress, pieces), compressor.flush()])


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
@given(
    parts=st.lists(st.tuples(st.booleans(), st.integers(0, BLOCK)), max_size=6),
    size=st.sampled_from([1000, 65_537, BLOCK - 1, BLOCK, 3 * BLOCK]),
)
def test_every_mixture_comes_back_however_it_was_cut(
    module: ModuleType, parts: list[tuple[bool, int]], size: int
) -> None:
    data = b"".join((NOISE if noisy else TEXT)[:length] for noisy, length in parts)

    whole = compress([data], module)

    assert gzip.decompress(whole) == isal_zlib.decompress(whole, 31) == data
    assert compress([*cut(data, size)], module) == whole


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_what_cannot_be_compressed_hardly_grows(module: ModuleType) -> None:
    data = NOISE * 4

    assert len(compress([data], module)) - len(data) < len(data) / 10_000


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_text_between_noise_is_compressed(module: ModuleType) -> None:
    text = TEXT[:BLOCK]

    assert len(compress([NOISE, text, NOISE, text], module)) < 2 * BLOCK + len(text) // 5


def test_nothing_is_a_member_too() -> None:
    assert gzip.decompress(GzipCompressor(1).flush()) == b""
