"""What Go writes for a mode, and what it makes of variables in a text."""

import pytest

from harness.cst.golang import expand, mode_text
from kubeimage.layer.entry import Entry, Kind


@pytest.mark.parametrize(
    ("kind", "mode", "text"),
    [
        (Kind.FILE, 0o644, "-rw-r--r--"),
        (Kind.FILE, 0o7777, "ugtrwxrwxrwx"),
        (Kind.FILE, 0o4001, "u--------x"),
        (Kind.DIRECTORY, 0o1777, "dtrwxrwxrwx"),
        (Kind.DIRECTORY, 0o2755, "dgrwxr-xr-x"),
        (Kind.SYMLINK, 0o777, "Lrwxrwxrwx"),
        (Kind.FIFO, 0o600, "prw-------"),
    ],
)
def test_a_mode_is_written_as_go_does(kind: Kind, mode: int, text: str) -> None:
    assert mode_text(Entry("a", kind, mode)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A", "1"),
        ("${A}b", "1b"),
        ("$Ab", ""),
        ("a$", "a$"),
        ("$ a", "$ a"),
        ("${}a", "a"),
        ("${A", "A"),
        ("$$A", "A"),
        ("$1a", "a"),
        ("${1}a", "a"),
        ("$é", "$é"),
        ("${B C}", "bc"),
    ],
)
def test_variables_are_filled_in_as_go_does(text: str, expected: str) -> None:
    assert expand(text, lambda name: {"A": "1", "B C": "bc"}.get(name, "")) == expected
