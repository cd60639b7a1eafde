"""Where a frame of zstd ends. Source: RFC 8878, section 3.1.1."""

from itertools import product

import pytest

from kubeimage.layer.zstdframes import FrameWatch

MAGIC = (0xFD2FB528).to_bytes(4, "little")
RAW, RLE = 0, 1
WIDTHS = {(0, 0): 0, (0, 1): 1, (1, 0): 2, (1, 1): 2, (2, 0): 4, (2, 1): 4, (3, 0): 8, (3, 1): 8}
"""Bytes of the content's size, by its flag and that of a single segment."""


def block(kind: int, size: int, *, last: bool) -> bytes:
    header = (size << 3 | kind << 1 | last).to_bytes(3, "little")
    return header + b"x" * (1 if kind == RLE else size)


def frame(size_flag: int, single: int, checksum: int, dictionary: int) -> bytes:
    """Return a frame with a block of each kind, whose header has these flags."""
    descriptor = size_flag << 6 | single << 5 | checksum << 2 | dictionary
    window = b"" if single else b"w"
    fields = window + b"d" * (0, 1, 2, 4)[dictionary] + b"s" * WIDTHS[size_flag, single]
    blocks = block(RAW, 5, last=False) + block(RLE, 900, last=False) + block(RAW, 0, last=True)
    return MAGIC + bytes([descriptor]) + fields + blocks + b"c" * (4 * checksum)


SKIPPED = (0x184D2A53).to_bytes(4, "little") + (3).to_bytes(4, "little") + b"any"


def whole_after(data: bytes, pieces: int) -> list[bool]:
    """Return after each piece whether all frames so far are whole."""
    watch, found = FrameWatch(), []
    for at in range(0, len(data), pieces):
        watch.feed(data[at : at + pieces])
        found.append(watch.whole)
    return found


@pytest.mark.parametrize("flags", list(product(range(4), range(2), range(2), range(4))))
def test_a_frame_is_whole_at_its_last_byte_and_nowhere_before(flags: tuple[int, int, int, int]) -> None:
    one = frame(*flags)
    data = one + SKIPPED + one

    ends = [number for number, whole in enumerate(whole_after(data, 1), 1) if whole]

    assert ends == [len(one), len(one + SKIPPED), len(data)]
    assert whole_after(data, len(data)) == [True]
    assert whole_after(data[:-1], 7)[-1] is False
