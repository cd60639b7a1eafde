import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from kubeimage.cli.images import format_yaml
from kubeimage.cli.output import format_json, format_table, harmless, shorten
from kubeimage.report.sizes import format_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_951, "10 kB"),
        (12_288, "12 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_340_000_000, "1.3 GB"),
        (10**19, "10000 PB"),
    ],
)
def test_sizes_are_written_as_people_say_them(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb größe 日本語", "a\tb größe 日本語"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x\x1b]8;;http://a\x1b\\y", "xy"),
        ("\x1bcreset\x1b(B", "reset"),
        ("a\x08b\x9b31m\x00", "a\ufffdb\ufffd31m\ufffd"),
        ("cut off \x1b[31", "cut off \ufffd[31"),
        ("\u202eright to left", "\ufffdright to left"),
        ("\udcff", "\ufffd"),
    ],
    ids=["plain", "colour", "title", "short", "controls", "half", "direction", "surrogate"],
)
def test_nothing_is_left_that_a_terminal_obeys(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(st.text())
def test_whatever_is_printed_is_printable(text: str) -> None:
    assert all(char == "\t" or (ord(char) >= 0x20 and char != "\x7f") for char in harmless(text))


@given(st.recursive(st.none() | st.text(), st.lists, max_leaves=5))
def test_json_holds_no_control_character_and_reads_back(value: object) -> None:
    text = format_json(value, indent=None)

    assert json.loads(text) == value
    assert harmless(text) == text


def test_columns_are_as_wide_as_what_stands_in_them() -> None:
    table = format_table(("NAME", "SIZE"), [("a", "1 B"), ("日本", "2\tB"), ("e\u0301tude:v1", "\x1b[1m3 B")])

    assert table == "NAME      SIZE\na         1 B\n日本      2 B\ne\u0301tude:v1  3 B"


def test_a_table_without_rows_is_its_header() -> None:
    assert format_table(("NAME", "IMAGE ID"), []) == "NAME  IMAGE ID"


@pytest.mark.parametrize(("text", "shown"), [("abc", "abc"), ("abcd", "ab…"), ("a\nbc", "a\ufffd…")])
def test_long_texts_are_cut(text: str, shown: str) -> None:
    assert shorten(text, 3) == shown


WHOLE = st.characters(exclude_categories=["Cs"])
SEEN = st.text(WHOLE | st.sampled_from("\x1b\x07\x7f\x85\u200e\u061c\u202e\u2066\u2028\n\t:'\"#-|"))


@given(st.dictionaries(SEEN, SEEN | st.lists(SEEN, max_size=3), max_size=4))
def test_a_document_shows_no_character_that_a_terminal_obeys(document: dict[str, Any]) -> None:
    for text in (format_json(document), format_yaml(document)):
        assert harmless(text.replace("\n", "")) == text.replace("\n", "")


@given(st.dictionaries(st.text(WHOLE), st.text(WHOLE)))
@example(document={"": "0\n"})
def test_a_document_is_read_back_as_it_was(document: dict[str, str]) -> None:
    assert json.loads(format_json(document)) == document
    # As it is printed: with the end of its last line.
    assert yaml.safe_load(f"{format_yaml(document)}\n") == document
