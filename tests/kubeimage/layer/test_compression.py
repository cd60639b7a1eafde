"""Compressed layers as streams."""

import gzip
import hashlib
import io
import os
import random
import sys

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.errors import LayerFormatError, LayerTooLargeError, UsageError
from kubeimage.layer.compression import Coding, compress, decompress
from tests.properties.examples import examples

SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
CODINGS = [Coding("gzip"), Coding("zstd"), Coding("zstd", 19)]
BYTES, CUTS = st.binary(max_size=3000), st.integers(1, 500)


def unpack(data: bytes) -> bytes:
    return b"".join(decompress(io.BytesIO(data)))


@pytest.mark.parametrize("coding", CODINGS[:2], ids=str)
@given(data=BYTES, cuts=CUTS)
def test_what_was_compressed_comes_back_and_the_bytes_do_not_depend_on_the_pieces(
    coding: Coding, data: bytes, cuts: int
) -> None:
    comes_back(coding, data, cuts)


@examples(0.2)
@given(data=BYTES, cuts=CUTS)
def test_so_it_is_at_a_level_that_takes_its_time(data: bytes, cuts: int) -> None:
    comes_back(CODINGS[2], data, cuts)


def comes_back(coding: Coding, data: bytes, cuts: int) -> None:
    whole = b"".join(compress([data], coding))
    in_pieces = b"".join(compress([data[at : at + cuts] for at in range(0, len(data), cuts)], coding))

    assert unpack(whole) == data
    assert in_pieces == whole


# Three jobs long.
LONG = b"".join(random.Random(1).choices([b"image: ", b"kind: Pod\n", b"v1.19.8 ", bytes(range(256))], k=80_000))


def zstd_with(cores: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(cores)))
    pieces = [LONG[at : at + 300_000] for at in range(0, len(LONG), 300_000)]
    return hashlib.sha256(b"".join(compress(pieces, Coding("zstd")))).hexdigest()


def test_zstd_does_not_depend_on_how_many_cores_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({zstd_with(cores, monkeypatch) for cores in (1, 2, 3, 8)}) == 1


def test_a_zstd_layer_has_the_digest_that_it_always_had(monkeypatch: pytest.MonkeyPatch) -> None:
    if zstandard.ZSTD_VERSION != (1, 5, 7):
        pytest.skip(f"zstd {zstandard.ZSTD_VERSION} may choose other bytes than 1.5.7")

    assert zstd_with(2, monkeypatch).startswith("6aebf8fd28b48693")
    assert (
        hashlib.sha256(b"".join(compress([LONG[:100_000]], Coding("zstd")))).hexdigest().startswith("27b5bc817896265a")
    )


def test_gzip_holds_no_time_and_no_name() -> None:
    header = b"".join(compress([b"x"], Coding("gzip")))[:10]

    assert header[:8] == b"\x1f\x8b\x08\0\0\0\0\0"


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(b"a" * 1000) + gzip.compress(b"b" * 1000),
        zstandard.compress(b"a" * 1000) + zstandard.compress(b"b" * 1000),
        SKIPPABLE + zstandard.compress(b"a" * 1000) + SKIPPABLE + zstandard.compress(b"b" * 1000) + SKIPPABLE,
        b"a" * 1000 + b"b" * 1000,
    ],
    ids=["gzip members", "zstd frames", "skippable frames", "as it is"],
)
def test_several_parts_are_one_stream(data: bytes) -> None:
    assert unpack(data) == b"a" * 1000 + b"b" * 1000


SOURCE = random.Random(7).randbytes(400_000) + bytes(400_000)


@pytest.mark.parametrize("cut", [1, 4, 5, 9, 200_000])
@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_data_that_were_cut_off_are_an_error(coding: Coding, cut: int) -> None:
    data = b"".join(compress([SOURCE], coding))

    with pytest.raises(LayerFormatError, match="damaged"):
        unpack(data[:-cut])


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_data_with_something_behind_them_are_an_error(coding: Coding) -> None:
    data = b"".join(compress([b"abc"], coding))

    with pytest.raises(LayerFormatError, match="damaged"):
        unpack(data + b"garbage")


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_a_flipped_bit_is_an_error(coding: Coding) -> None:
    data = bytearray(b"".join(compress([SOURCE], coding)))
    data[len(data) // 2] ^= 1

    with pytest.raises(LayerFormatError, match="damaged"):
        unpack(bytes(data))


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_no_more_is_given_than_was_allowed(coding: Coding) -> None:
    data = b"".join(compress((bytes(1 << 20) for _ in range(64)), coding))
    given_out = 0

    with pytest.raises(LayerTooLargeError, match="3145728 bytes"):
        for piece in decompress(io.BytesIO(data), most=3 << 20):
            given_out += len(piece)

    assert given_out <= 3 << 20


def test_a_window_that_takes_too_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=28, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = compressor.compress(os.urandom(1000)) + compressor.flush()

    with pytest.raises(LayerFormatError, match="damaged"):
        unpack(data)


@pytest.mark.parametrize(
    ("text", "coding"),
    [("gzip", Coding("gzip")), ("zstd", Coding("zstd")), ("zstd:19", Coding("zstd", 19)), ("none", Coding("none"))],
)
def test_a_compression_is_read_from_text(text: str, coding: Coding) -> None:
    assert Coding.parse(text) == coding


@pytest.mark.parametrize("text", ["", "gzip:9", "zstd:", "zstd:0", "zstd:20", "zstd:x", "none:1", "xz", "GZIP"])
def test_what_is_no_compression_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a compression"):
        Coding.parse(text)


@pytest.mark.parametrize(
    ("coding", "recipe"),
    [("none", "none"), ("gzip", "gzip"), ("zstd", "zstd:3 in jobs"), ("zstd:19", "zstd:19 in jobs")],
)
def test_a_recipe_names_the_level_and_how_it_is_used(coding: str, recipe: str) -> None:
    assert Coding.parse(coding).recipe == recipe


def test_gzip_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)

    assert gzip.decompress(b"".join(compress([b"a", b"b" * 1000], Coding("gzip")))) == b"a" + b"b" * 1000
