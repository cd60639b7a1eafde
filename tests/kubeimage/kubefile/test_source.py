import re

import pytest

from kubeimage.errors import Location
from kubeimage.kubefile import NOWHERE, Source, Span


def test_lines_end_at_line_feeds_and_nowhere_else() -> None:
    source = Source("Kubefile", "a\r\nb\x0bc\u2028d\n")

    assert source.lines == ("a", "b\x0bc\u2028d", "")


@pytest.mark.parametrize(("number", "line"), [(0, ""), (1, "FROM a"), (2, "RUN b"), (3, ""), (-1, "")])
def test_a_line_is_looked_up_from_one(number: int, line: str) -> None:
    assert Source("Kubefile", "FROM a\nRUN b").line(number) == line


def test_a_span_gives_its_first_line_as_location() -> None:
    span = Source("app/Kubefile", "FROM a\nCOPY x \\\n  y\n").span(2, 3, 6, 1)

    assert span.location == Location("app/Kubefile", 2, 6, "COPY x \\", 1)


def test_spans_are_equal_whatever_the_text_around_them() -> None:
    assert Span("K", 1, 1, 1, 4, ("FROM",)) == Span("K", 1, 1, 1, 4)


@pytest.mark.parametrize(
    ("word", "line", "column"),
    [
        ("a", 1, 18),
        ("data", 1, 13),
        ("COPY", 4, 3),
        ("bin/", 4, 8),
        ("absent", 1, 1),
    ],
)
def test_a_word_is_found_whole_behind_the_keyword_and_outside_comments(word: str, line: int, column: int) -> None:
    text = "COPY aa a/b data a \\\n# absent bin/\n\n  COPY bin/\n"
    span = Source("Kubefile", text).span(1, 4, 1, 20)

    found = span.word(word)

    assert (found.first_line, found.column) == (line, column)


def test_a_word_of_an_array_is_found_between_its_quotes() -> None:
    span = Source("Kubefile", '  COPY ["a b","c"]\n').span(1, 1, 3, 10)

    assert span.word("a b").column == 10
    assert span.word("c").location.length == 1


def test_a_pattern_is_found_everywhere_it_stands() -> None:
    span = Source("Kubefile", "RUN $a \\\n $b$a\n").span(1, 2, 1, 5)

    places = [(found[0], place.first_line, place.column) for found, place in span.find_all(re.compile(r"\$\w"))]

    assert places == [("$a", 1, 5), ("$b", 2, 2), ("$a", 2, 4)]


def test_the_span_of_something_made_by_a_program_can_be_shown() -> None:
    assert NOWHERE.location.line == 1
    assert NOWHERE.word("x") == NOWHERE
