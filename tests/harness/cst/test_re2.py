"""Go's regular expressions in Python's words. What Go itself says of a hundred others: test_judge.py."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cst.re2 import BadPatternError, UntranslatableError, go_text, matches, translate

LETTERS = st.text("abc\n -", max_size=12)
# What means the same to both engines.
ATOMS = st.one_of(
    st.sampled_from("abc"), st.sampled_from([r"\n", " ", "-", "[ab]", "[^a]", "[a-c]", "(?i:A)", "(?s:.)"])
)


def repeated(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    repeats = st.sampled_from(["", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,}"])
    return st.builds(lambda text, times: f"(?:{text}){times}", inner, repeats)


PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        repeated(inner),
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: f"({'|'.join(found)})"),
    ),
    max_leaves=6,
)


@given(PATTERNS, LETTERS)
def test_what_both_engines_have_is_what_it_was(pattern: str, text: str) -> None:
    assert matches(pattern, text.encode()) == (re.search(pattern, text) is not None)


@given(st.text("ab()[]{}|*+?^$\\.-,:<>=!PQE0129imsU", max_size=12))
def test_any_text_is_translated_or_refused_and_never_misunderstood_by_python(pattern: str) -> None:
    try:
        translated = translate(pattern)
    except (BadPatternError, UntranslatableError):
        return
    re.compile(translated)


@given(st.text(max_size=10))
def test_a_quoted_text_finds_itself(text: str) -> None:
    pattern = "\\Q" + text.replace("\\E", "") + "\\E"

    assert matches(pattern, b"a" + text.replace("\\E", "").encode() + b"b")


@pytest.mark.parametrize(
    ("pattern", "data", "found"),
    [
        ("^b", b"a\nb", False),
        ("(?m)^b", b"a\nb", True),
        ("a$", b"a\n", False),
        ("(?m)a$", b"a\n", True),
        ("a.b", b"a\nb", False),
        (r"\s", b"\x0b", False),
        (r"[[:space:]]", b"\x0b", True),
        (r"\d", "\u0663".encode(), False),
        (r"\w", "é".encode(), False),
        (r"\bé", "é".encode(), False),
        ("(?i)É", "é".encode(), True),
        (r"\B", b"", True),
        ("a{,2}", b"a{,2}", True),
        ("a{,2}", b"aa", False),
        ("(?i)a(?-i)B", b"AB", True),
        ("(?i)a(?-i)B", b"Ab", False),
        ("(a(?i)b|c)d", b"ABd", False),
        ("(a(?i)b|c)d", b"Cd", True),
        ("(?U)a+?", b"aa", True),
        (r"\x{10FFFF}", "\U0010ffff".encode(), True),
        ("^.$", b"\xff", True),
        ("^..$", b"\xed\xa0", True),
        (r"\p{L}\P{L}", "é1".encode(), True),
        ("[^\\d\\D]", b"a", False),
        ("(?s).", b"\n", True),
        ("a-[b-]", b"a--", True),
    ],
)
def test_what_differs_is_go_s(pattern: str, data: bytes, found: bool) -> None:
    assert matches(pattern, data) is found


@pytest.mark.parametrize(
    "pattern",
    ["a++", "a*+", "(?>a)", "(?#c)", "(?P=n)", "(?P<n>a", r"\k", r"\Z", r"\G", r"\1", "a{2}{3}", "[", "(", ")"],
)
def test_what_go_has_not_is_refused(pattern: str) -> None:
    with pytest.raises(BadPatternError):
        translate(pattern)


def test_what_cannot_be_judged_is_said() -> None:
    with pytest.raises(UntranslatableError, match=r"the Unicode class 'Greek'"):
        translate(r"\p{Greek}")


@given(st.binary(max_size=20))
def test_bytes_are_read_as_go_reads_them(data: bytes) -> None:
    text = go_text(data)

    assert not any("\ud800" <= char <= "\udfff" for char in text)
    try:
        assert text == data.decode()
    except UnicodeDecodeError:
        assert "\ufffd" in text
