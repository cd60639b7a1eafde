"""Patterns that are compiled at their first use do what compiled ones do."""

import re
from collections.abc import Callable

import pytest

from kubeimage.patterns import pattern

TEXT = r"(?P<key>[a-z]+)=(\d)"


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda one: one.fullmatch("a=1")["key"], id="fullmatch"),
        pytest.param(lambda one: one.match("a=12")[2], id="match"),
        pytest.param(lambda one: one.match("A=1"), id="no match"),
        pytest.param(lambda one: one.search("- ab=1").span(), id="search"),
        pytest.param(lambda one: one.findall("a=1 b=2"), id="findall"),
        pytest.param(lambda one: [found[0] for found in one.finditer("a=1 b=2")], id="finditer"),
        pytest.param(lambda one: one.sub("", "a=1 b=2"), id="sub"),
        pytest.param(lambda one: one.split("x a=1 y"), id="split"),
        pytest.param(lambda one: (one.pattern, one.groups, dict(one.groupindex)), id="what it says of itself"),
    ],
)
def test_it_does_what_a_compiled_one_does(use: Callable[[re.Pattern[str]], object]) -> None:
    lazy = pattern(TEXT)

    assert use(lazy) == use(re.compile(TEXT))
    assert use(lazy) == use(re.compile(TEXT))


def test_flags_count() -> None:
    assert pattern(b"a", re.IGNORECASE).fullmatch(b"A")


def test_nothing_is_compiled_before_it_is_used() -> None:
    broken = pattern("(")

    with pytest.raises(re.error):
        broken.match("a")
