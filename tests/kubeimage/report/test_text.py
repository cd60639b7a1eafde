import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.errors import CommandError, Diagnostic, KubefileError, KubeimageError, Location
from kubeimage.report import format_error
from kubeimage.report.columns import columns
from kubeimage.report.text import lay_out


def test_an_error_shows_its_line_with_a_caret_and_what_to_do() -> None:
    location = Location("app/Kubefile", 12, 1, "COPY etc/", 9)
    error = KubefileError([Diagnostic("E0203", "COPY takes two values", location, "name the folder")])

    assert format_error(error) == (
        "error[E0203]: COPY takes two values\n"
        "  --> app/Kubefile:12:1\n"
        "12 | COPY etc/\n"
        "   | ^^^^^^^^^\n"
        "hint: name the folder"
    )


@pytest.mark.parametrize(
    ("text", "column", "length", "shown", "caret"),
    [
        ("a\tb", 3, 1, "a b", "  ^"),
        ("\u4f60\u597d x", 4, 1, "\u4f60\u597d x", "     ^"),
        ("e\u0301 x", 4, 1, "e\u0301 x", "  ^"),
        ("ab\x1b[31m", 1, 2, "ab\N{REPLACEMENT CHARACTER}[31m", "^^"),
        ("abc", 9, 4, "abc", "   ^"),
    ],
    ids=["tab", "wide", "combining", "escape", "behind the end"],
)
def test_the_caret_stands_below_the_place(text: str, column: int, length: int, shown: str, caret: str) -> None:
    lines = format_error(KubeimageError("x", location=Location("K", 1, column, text, length))).splitlines()

    assert lines[2:] == [f"1 | {shown}", f"  | {caret}"]


def test_a_very_long_line_is_cut_around_the_place() -> None:
    location = Location("K", 1, 500_001, "a" * 500_000 + "!" + "b" * 500_000, 1)

    _, _, line, caret = format_error(KubeimageError("x", location=location)).splitlines()

    assert len(line) < 200
    assert line[caret.index("^")] == "!"


def test_a_failed_command_shows_what_it_printed_last() -> None:
    error = CommandError("RUN ended with exit status 3", status=3, output="one\ntwo")

    assert format_error(error) == ("error[E0710]: RUN ended with exit status 3\nlast output (2 lines):\n  one\n  two")


lines = st.text(st.sampled_from("a\t\u4f60\u0301\x1b"), max_size=200)


@given(lines, st.integers(1, 220), st.integers(1, 220), st.integers(24, 100))
def test_an_excerpt_fits_the_terminal_and_the_caret_its_place(text: str, column: int, length: int, width: int) -> None:
    diagnostic = Diagnostic("W06", "x", Location("K", 7, column, text or "a", length), None, "warning")

    shown = ["".join(piece.text for piece in line) for line in lay_out([diagnostic], width)]

    *_, line, caret = shown
    assert columns(line) <= width
    assert columns(caret) <= max(width, columns(line) + 1)
    if column <= len(text):
        marked = [char for char in text[column - 1] if char.isprintable()] or [
            " " if text[column - 1] == "\t" else "\ufffd"
        ]
        assert marked[0] in line


def test_messages_and_hints_are_wrapped_at_blanks_below_each_other() -> None:
    diagnostic = Diagnostic("W06", "one two three four five six", None, "seven eight nine ten eleven twelve", "warning")

    assert ["".join(piece.text for piece in line) for line in lay_out([diagnostic], 24)] == [
        "warning[W06]: one two",
        "  three four five six",
        "hint: seven eight nine",
        "      ten eleven twelve",
    ]
