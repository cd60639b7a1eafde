from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.kubefile import expand, names_used
from kubeimage.kubefile.expansion import expanded_length, unsupported_forms

VALUES = {"A": "1", "AB": "two words", "E": "", "D": "$A"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$A", "1"),
        ("${A}", "1"),
        ("$AB", "two words"),
        ("${A}B", "1B"),
        ("$A.$AB/x", "1.two words/x"),
        ("[$E]", "[]"),
        ("$D", "$A"),
        ("\\$A", "$A"),
        ("\\\\$A", "\\$A"),
        ("\\${A}", "${A}"),
        ("$$A", "$1"),
        ("$UNKNOWN ${UNKNOWN}", "$UNKNOWN ${UNKNOWN}"),
        ("${A:-x} ${A ${} $ $1 $-", "${A:-x} ${A ${} $ $1 $-"),
        ("\\n 'A' \"$A\" '$A'", "\\n 'A' \"1\" '1'"),
        ("$Aé", "1é"),
    ],
)
def test_names_are_replaced_by_their_values(text: str, expanded: str) -> None:
    assert expand(text, VALUES) == expanded


def test_names_used_are_told_once_each_in_order() -> None:
    assert names_used("$B ${A} \\$C $B ${D:-1} $") == ["B", "A"]


def test_forms_of_other_shells_are_told() -> None:
    assert unsupported_forms("${A:-x} ${A} \\${B:-y} ${C") == ["${A:-x}", "${C"]


TEXTS = st.text(st.sampled_from("$\\{}AB:_ x")) | st.text()


@given(TEXTS, st.dictionaries(st.sampled_from(["A", "B", "AB", "_"]), TEXTS))
def test_the_length_of_an_expansion_is_known_before_it_is_made(text: str, values: Mapping[str, str]) -> None:
    assert expanded_length(text, values) == len(expand(text, values))


@given(TEXTS.filter(lambda text: "\\$" not in text))
def test_without_variables_nothing_changes(text: str) -> None:
    assert expand(text, {}) == text


@given(TEXTS)
def test_a_text_with_every_dollar_escaped_means_itself(text: str) -> None:
    assert expand(text.replace("$", "\\$"), VALUES) == text
