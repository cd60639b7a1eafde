import pytest

from kubeimage.errors import KubefileError
from kubeimage.kubefile.lexer import decode, logical_lines
from tests.places import place_of


def joined(text: bytes | str) -> list[str]:
    return [line.text for line in logical_lines(decode(text, "Kubefile"))]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("a\nb\n", ["a", "b"], id="two lines"),
        pytest.param("a", ["a"], id="no line feed at the end"),
        pytest.param("", [], id="nothing"),
        pytest.param("\n \t\n", [], id="blank lines"),
        pytest.param("# a\n  # b\n\t#c\nd", ["d"], id="comments, indented too"),
        pytest.param("a # b", ["a # b"], id="a comment behind something is the grammar's business"),
        pytest.param("a \\\nb", ["a b"], id="continued"),
        pytest.param("a\\\n   b", ["a   b"], id="leading blanks are kept"),
        pytest.param("a\\ \t \nb", ["ab"], id="blanks after the backslash"),
        pytest.param("a\\\\\nb", ["a\\\\", "b"], id="two backslashes do not continue"),
        pytest.param("a\\\\\\\nb", ["a\\\\b"], id="three do, and two stay"),
        pytest.param("a\\\n\n \nb", ["ab"], id="blank lines inside"),
        pytest.param("a\\\n# c\n  # d \\\nb", ["ab"], id="comments inside, ending in a backslash or not"),
        pytest.param("a\\\n# c\nb\\\n#d", ["ab"], id="a comment after the last one"),
        pytest.param("# a\\\nb", ["b"], id="a comment is never continued"),
        pytest.param("a\\", ["a"], id="a backslash at the end of the file"),
        pytest.param("a\\\n", ["a"], id="and before the last line feed"),
        pytest.param("\\\n a", [" a"], id="nothing before the backslash"),
        pytest.param("\\", [""], id="nothing but the backslash"),
        pytest.param("a\r\nb\\\r\nc\r\n", ["a", "bc"], id="CRLF"),
        pytest.param("a\r\r\nb\\ \r\r\nc\r", ["a", "bc"], id="CRLF twice translated"),
        pytest.param("\ufeffa\nb", ["a", "b"], id="byte order mark"),
        pytest.param("a\x0bb\x85c\u2028d", ["a\x0bb\x85c\u2028d"], id="other line separators are text"),
    ],
)
def test_physical_lines_become_logical_lines(text: str, lines: list[str]) -> None:
    assert joined(text) == lines
    assert joined(text.encode()) == lines


@pytest.mark.parametrize(("char", "line", "column"), [("F", 2, 3), ("x", 2, 8), ("y", 5, 2), ("z", 6, 1), ("w", 7, 3)])
def test_each_character_knows_its_physical_place(char: str, line: int, column: int) -> None:
    (found,) = logical_lines(decode("# c\n  FROM x \\\n#\n\n\ty\\\nz\\\n  w # w", "Kubefile"))
    offset = found.text.index(char)

    span = found.span(offset, offset + 1)

    assert (span.first_line, span.column, span.length) == (line, column, 1)


def test_a_span_over_several_lines_marks_what_stands_on_the_first() -> None:
    (line,) = logical_lines(decode("RUN a \\\n  b\n", "Kubefile"))

    span = line.span(0, len(line.text))

    assert (span.first_line, span.last_line, span.column, span.length) == (1, 2, 1, 5)


@pytest.mark.parametrize(
    ("data", "code", "line", "column", "message"),
    [
        (b"FROM a\nRUN \xff", "E0240", 2, 5, "not UTF-8 text: found byte 0xff"),
        (b"FROM a\nRUN \xc3\xa9\xc3", "E0240", 2, 6, "not UTF-8 text: found byte 0xc3"),
        (b"\xed\xa0\x80", "E0240", 1, 1, "not UTF-8 text: found byte 0xed"),
        ("FROM \ud800", "E0240", 1, 6, "not UTF-8 text: found the lone surrogate U+D800"),
        (b"\xef\xbb\xbf#\x00", "E0241", 1, 2, "a NUL character, which no Kubefile can hold"),
        ("FROM a\r\n\x00", "E0241", 2, 1, "a NUL character, which no Kubefile can hold"),
    ],
)
def test_text_that_is_no_text_is_an_error_with_its_place(
    data: bytes | str, code: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(KubefileError) as caught:
        decode(data, "Kubefile")

    (diagnostic,) = caught.value.diagnostics
    place = (place_of(diagnostic).line, place_of(diagnostic).column)
    assert (diagnostic.code, *place, diagnostic.message) == (code, line, column, message)


def test_the_line_of_bad_bytes_can_be_printed_anywhere() -> None:
    with pytest.raises(KubefileError) as caught:
        decode(b"FROM a\xff", "Kubefile")

    assert place_of(caught.value).text.encode("utf-8").decode() == "FROM a\N{REPLACEMENT CHARACTER}"


def test_a_binary_file_gives_a_short_report() -> None:
    with pytest.raises(KubefileError) as caught:
        decode(b"\xff\n" * 5_000, "Kubefile")

    assert len(caught.value.diagnostics) == 11
    assert caught.value.diagnostics[-1].message == "4990 more such lines"
