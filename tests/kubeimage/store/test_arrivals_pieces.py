"""Chunks of any sizes are regrouped without a byte lost, and into pieces of a sensible size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.store import arrivals

PIECE = 8


@given(st.lists(st.binary(max_size=3 * PIECE), max_size=12))
def test_not_a_byte_is_lost_and_no_piece_is_needlessly_small(chunks: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrivals, "PIECE", PIECE)
        pieces = list(arrivals._regroup(chunks))

    assert b"".join(pieces) == b"".join(chunks)
    assert all(len(piece) >= PIECE for piece in pieces[:-1])
    assert all(pieces)
    longest = max(map(len, chunks), default=0)
    assert all(len(piece) < PIECE + longest for piece in pieces)
