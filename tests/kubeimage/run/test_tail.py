"""The end of an output: bounded, and harmless to print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.run.tail import LINES, Tail


def tail_of(*pieces: bytes) -> str:
    tail = Tail()
    for piece in pieces:
        tail.add(piece)
    return tail.text()


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"a\nb\n", "a\nb", id="lines"),
        pytest.param(b"no end", "no end", id="no end of line"),
        pytest.param(b" 10%\r 20%\r100%\r\ndone", "100%\ndone", id="progress"),
        pytest.param(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07x", "red x", id="colours and titles"),
        pytest.param(b"a\tb\x07c\x00d", "a\tb\ufffdc\ufffdd", id="control characters"),
        pytest.param(b"\xff\xfe", "\ufffd\ufffd", id="no text"),
        pytest.param("\N{RIGHT-TO-LEFT OVERRIDE}x".encode(), "\ufffdx", id="text that turns round"),
    ],
)
def test_output_is_shown_as_a_terminal_would(printed: bytes, shown: str) -> None:
    assert tail_of(printed) == shown


def test_the_last_lines_stay() -> None:
    assert tail_of(b"".join(b"%d\n" % number for number in range(100))).splitlines() == [
        str(number) for number in range(100 - LINES, 100)
    ]


def test_a_line_without_end_stays_small() -> None:
    assert len(tail_of(*[b"\xff" * 100_000] * 10).encode()) <= 64 << 10


@given(st.lists(st.binary(max_size=50)))
def test_how_the_output_is_cut_changes_nothing(pieces: list[bytes]) -> None:
    assert tail_of(*pieces) == tail_of(b"".join(pieces))


@given(st.binary(max_size=300))
def test_nothing_that_moves_a_cursor_is_left(printed: bytes) -> None:
    text = tail_of(printed)

    assert all(char.isprintable() or char in "\t\n" for char in text)
    assert len(text.split("\n")) <= LINES
