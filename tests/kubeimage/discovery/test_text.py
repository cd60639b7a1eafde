"""What may be a name in a line that no structure explains."""

import pytest

from kubeimage.discovery.text import Piece, iter_pieces

# A line, and its pieces: their text, and what is known of where they stand.
LINES: list[tuple[str, list[tuple[str, str]]]] = [
    ("x\nnginx:latest", [("nginx:latest", "alone")]),
    ("- nginx:latest", [("nginx:latest", "alone")]),
    ("'nginx:latest',", [("nginx:latest", "alone")]),
    ("tool nginx:latest", []),
    ("tool redis:6", []),
    ("redis:6", []),
    ("redis:6.2", [("redis:6.2", "alone")]),
    ("tool redis:6.2", []),
    ("export X=redis:6.2;", [("redis:6.2", "alone")]),
    ("docker run redis:6.2 sh", [("redis:6.2", "alone run")]),
    ("docker run redis:6.2 sh" + " " * (1 << 16), []),
    (f"{'x' * 5000}=redis:6.2", []),
    ("docker.io/a/b:1 docker.io/a/b:1", [("docker.io/a/b:1", "")]),
    ("IMAGE=nginx:1", [("nginx:1", "key")]),
    ("docker pull a/b # quay.io/c/d:1", [("quay.io/c/d:1", "comment")]),
    ("run a // quay.io/c/d:1", [("quay.io/c/d:1", "comment")]),
    ("image: a b", [("a", "key")]),
    ("image: 'a b' c", [("a b", "key")]),
    ('image: "a b" c', [("a b", "key")]),
    ('echo "image: \\"a b\\""', [("a b", "key")]),
    ("image: {{ .x }}:1", [("{{ .x }}", "key")]),
    ("image: {{ .x", [("{{ .x", "key")]),
    ("image:", []),
    ("image: |", []),
    ("image: [a]", []),
    ("tool --image a/b", [("a/b", "key")]),
    ("tool --image -x", []),
    ("FROM --platform=x a/b AS c", [("a/b", "key")]),
    ("# FROM a/b", []),
    ("FROM ", []),
]


@pytest.mark.parametrize(("line", "expected"), LINES, ids=range(len(LINES)))
def test_a_line_has_these_pieces(line: str, expected: list[tuple[str, str]]) -> None:
    found = list(iter_pieces(line))

    assert [one.line for one in found] == [line.count("\n") + 1] * len(found)
    assert [(one.text, kind_of(one)) for one in found] == expected


def kind_of(piece: Piece) -> str:
    """Return what is set of a piece; ``key`` for what no token is read of."""
    kinds = {"key": piece.token is None, "comment": piece.comment, "alone": piece.alone, "run": piece.is_run}
    return " ".join(kind for kind, is_set in kinds.items() if is_set)
