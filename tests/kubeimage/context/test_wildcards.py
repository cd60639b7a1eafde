"""Shell wildcards for one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.context.wildcards import compile_name, has_wildcard


def matches(pattern: str, name: str) -> bool:
    compiled = compile_name(pattern)
    return compiled is not None and compiled.fullmatch(name) is not None


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("*", ["a", ".a", "a.b", "é ü", "new\nline"], ["a/b"]),
        ("**", ["a", ""], ["a/b"]),
        ("?", ["a", "é", ".", "\n"], ["", "ab", "/"]),
        ("a*", ["a", "a.b"], ["ba", "A"]),
        ("*.yaml", [".yaml", "a.yaml", "a.b.yaml"], ["a.yml", "a.yaml.bak"]),
        ("a*b*c", ["abc", "aXbXbXc", "abcbc"], ["acb", "ab"]),
        ("*ab*ab", ["abab", "xabyab"], ["ab", "xab", "aba"]),
        ("[a-c]", ["a", "b", "c"], ["d", "-", "ab"]),
        ("[!a-c]", ["d", "-"], ["a", "", "/"]),
        ("[^a]", ["b", "^"], ["a", "/"]),
        ("[a^]", ["a", "^"], ["b"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[!]a]", ["b"], ["]", "a"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[-a]", ["a", "-"], ["b"]),
        ("[\\]x]", ["]", "x"], ["\\"]),
        ("[\\--0]", ["-", ".", "0"], ["1"]),
        ("[z-a]", ["z"], ["a", "m"]),
        ("[[:digit:]x]", ["1", "x"], ["y", ":"]),
        ("[[:punct:]]", ["[", "]", "-", "\\", "^"], ["a", "/"]),
        ("[&&~~||]", ["&", "~", "|"], ["a"]),
        ("\\*", ["*"], ["a", "\\*"]),
        ("\\a", ["a"], ["\\a"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a+(b)|c{1}$", ["a+(b)|c{1}$"], ["aab"]),
        # These mean nothing, so nothing matches them.
        ("[", [], ["[", ""]),
        ("[a", [], ["[a", "a"]),
        ("[!", [], ["[!"]),
        ("[[:nonsense:]]", [], ["a", ":"]),
        ("a\\", [], ["a", "a\\"]),
    ],
)
def test_a_pattern_matches_what_a_shell_would(pattern: str, good: list[str], bad: list[str]) -> None:
    found = {name: matches(pattern, name) for name in (*good, *bad)}

    assert found == {name: name in good for name in (*good, *bad)}


@pytest.mark.parametrize(("name", "expected"), [("a.b-c", False), ("a*", True), ("?", True), ("[", True), ("\\", True)])
def test_wildcards_are_seen(name: str, expected: bool) -> None:
    assert has_wildcard(name) is expected


def test_many_stars_on_a_long_name_give_an_answer_at_once() -> None:
    assert not matches("*a" * 100 + "b", "a" * 255)


@given(st.text(alphabet="ab*?[]!^-\\.é:\n", max_size=12), st.text(alphabet="ab*[]-\\.é\n", max_size=8))
def test_no_text_is_too_odd_for_a_pattern(pattern: str, name: str) -> None:
    assert matches(pattern, name) in {True, False}


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"])))
def test_an_escaped_name_matches_itself_alone(name: str) -> None:
    pattern = "".join(f"\\{char}" for char in name)

    assert matches(pattern, name)
    assert not matches(pattern, name + "x")
