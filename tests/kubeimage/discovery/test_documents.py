"""In which line of a document a value stands."""

import pytest

from kubeimage.discovery.documents import line_of

LINES: list[tuple[str, list[str | int], int | None]] = [
    ("a:\n  b:\n  - 1\n  - 2\n", ["a", "b", 1], 4),
    ("a:\n  b: 1\n", [], 1),
    ("\na:\n  b: 1\n", ["a", "b"], 3),
    ("a:\n  b: 1\n", ["a", "c"], 2),
    ("a: 1\nc: 2\n", ["x"], 1),
    ("- 1\n- 2\n", [2], 1),
    ("", ["a"], None),
    ("a: [\n", ["a"], None),
    ("a: 1\n---\nb: 2\n", ["a"], None),
    ("a: \ud800\n", ["a"], None),
    ("[" * 5_000 + "]" * 5_000, [0], None),
]


@pytest.mark.parametrize(("text", "steps", "line"), LINES, ids=range(len(LINES)))
def test_a_value_has_its_line_and_what_cannot_be_read_has_none(
    text: str, steps: list[str | int], line: int | None
) -> None:
    assert line_of(text, steps) == line
