"""Reading bytes at once: a buffer says the same case, and as much of it is read."""

from random import Random
from typing import Any

import pytest
from hypothesis import core, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import BytestringProvider

from harness.fuzz.buffers import read_bytes_at_once
from harness.strategies import projects

CASES = st.one_of(projects(), st.tuples(st.binary(max_size=9), st.binary(min_size=5, max_size=5), st.integers(0, 9)))


def cases(buffers: list[bytes]) -> list[Any]:
    """Return what each buffer says, and how much of it was read."""
    found: list[Any] = []

    @settings(database=None)
    @given(CASES)
    def note(case: object) -> None:
        found.append(case)

    fuzz: Any = note.hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    return [(fuzz(buffer), found.pop() if found else None) for buffer in buffers]


def test_a_buffer_says_the_same_case_however_its_bytes_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(1)
    buffers = [random.randbytes(size) for size in (0, 1, 4, 48, 60, *[2_000] * 40)]
    monkeypatch.setattr(core, "BytestringProvider", BytestringProvider)
    usual = cases(buffers)

    read_bytes_at_once()

    assert core.BytestringProvider is not BytestringProvider  # type: ignore[attr-defined]
    assert cases(buffers) == usual
    assert sum(case is not None for _, case in usual) >= 40
