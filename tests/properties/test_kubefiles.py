"""What holds for every text: it is read as it was meant, or refused with the parser's own errors."""

import pytest
from hypothesis import given

from harness.strategies import (
    InvalidKubefile,
    WrittenKubefile,
    hostile_kubefiles,
    invalid_kubefiles,
    kubefiles,
    written_kubefiles,
)
from kubeimage.errors import Diagnostic, KubefileError
from kubeimage.kubefile import Kubefile, parse, render
from kubeimage.kubefile.lint import lint
from tests.properties.examples import examples

# A text with a line that is too long for some fails in a test, and not in being shown.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


def complaints_of(text: str | bytes) -> tuple[Diagnostic, ...]:
    try:
        parse(text)
    except KubefileError as error:
        return error.diagnostics
    return ()


@examples(1)
@given(kubefiles())
def test_what_is_printed_is_parsed_to_the_same(kubefile: Kubefile) -> None:
    assert parse(render(kubefile)) == kubefile


@examples(2)
@given(written_kubefiles())
def test_handwriting_makes_no_difference(written: WrittenKubefile) -> None:
    assert parse(written.text) == written.kubefile
    assert parse(written.text.encode()) == written.kubefile


@examples(0.5)
@given(written_kubefiles())
def test_every_instruction_knows_its_place_in_the_file(written: WrittenKubefile) -> None:
    kubefile = parse(written.text)
    lines = written.text.removeprefix("\ufeff").splitlines()

    for one in kubefile.instructions:
        first = lines[one.span.first_line - 1][one.span.column - 1 :]
        assert first.upper().startswith(one.keyword)


@examples(0.7)
@given(invalid_kubefiles())
def test_a_mistake_is_found_whatever_stands_around_it(invalid: InvalidKubefile) -> None:
    complaints = complaints_of(invalid.text)

    assert invalid.code in [one.code for one in complaints]
    assert all(one.location is not None for one in complaints)


@examples(3)
@given(hostile_kubefiles())
def test_no_text_makes_the_parser_raise_anything_but_its_own_error(text: str | bytes) -> None:
    complaints = complaints_of(text)

    if not complaints:
        kubefile = parse(text)
        assert parse(render(kubefile)) == kubefile
        lint(kubefile)
