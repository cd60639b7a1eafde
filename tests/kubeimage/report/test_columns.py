from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.report.columns import columns, fit, wrap

characters = st.text(st.sampled_from("ab \u4f60\u597d\u0301\ufe0f\N{WAVING HAND SIGN}"), max_size=40)


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("\u4f60", 2), ("e\u0301", 1), ("\N{HEAVY BLACK HEART}\ufe0f", 1), ("a\u200db", 2), ("ö", 1)],
)
def test_characters_take_the_columns_of_a_terminal(text: str, width: int) -> None:
    assert columns(text) == width


@given(characters, st.integers(1, 20))
def test_what_is_cut_fits_and_says_so(text: str, width: int) -> None:
    cut = fit(text, width)

    assert columns(cut) <= width
    assert cut == text or (cut.endswith("…") and text.startswith(cut[:-1]))


@given(characters, st.integers(10, 20))
def test_what_is_wrapped_loses_nothing_and_fits(text: str, width: int) -> None:
    first, *more = wrap(text, width, first=3, indent=2)

    assert " ".join([first, *(line[2:] for line in more)]) == text
    assert all(columns(line) <= width or " " not in line[2:] for line in more)
    assert columns(first) + 3 <= width or " " not in first
