from __future__ import annotations

import pytest

from kubeimage.errors import Diagnostic
from kubeimage.lint import lint_bytes
from tests.kubeimage.lint.conftest import Advise

FILES = {"etc/a": "1", "etc/b/c": "2", "a.yaml": "3"}


def notes(advise: Advise, text: str, file: str = "Kubefile") -> list[Diagnostic]:
    """Return what is said of a file that lies beside FILES."""
    advise({"Kubefile": "FROM scratch\n", **FILES})
    return [one for one in lint_bytes(text.encode(), file=file, context=".") if one.code == "W23"]


@pytest.mark.parametrize(
    ("copies", "here", "there"),
    [
        ("COPY etc .", "etc/a, etc/b/c", "a, b/c"),
        ("COPY etc x", "x/etc/a, x/etc/b/c", "x/a, x/b/c"),
        ("COPY a.yaml x", "x/a.yaml", "x"),
        ("COPY etc/* x", "x/b/c", "x/c"),
        ("COPY a.yaml .\nCOPY etc .", "etc/a, etc/b/c", "a, b/c"),
        ("COPY etc/. x\nCOPY etc/a x/a\nCOPY a.yaml x", None, None),
        ("COPY etc etc", None, None),
        ("COPY . .", None, None),
        ("COPY a.yaml x/", None, None),
        ("COPY --exact a.yaml x", None, None),
    ],
)
def test_both_trees_are_told_where_they_differ(
    copies: str, here: str | None, there: str | None, advise: Advise
) -> None:
    found = notes(advise, f"FROM scratch\n{copies}\n")

    if here is None:
        assert found == []
        return
    (note,) = found
    assert note.severity == "note"
    assert f"in sealer it is {here}; in sealos it would be {there}" in note.message
    assert note.location is not None
    assert note.location.line == 2 + copies.count("\n")
    assert note.hint


def test_it_is_told_the_other_way_round_as_well(advise: Advise) -> None:
    (note,) = notes(advise, "FROM scratch\nCOPY etc .\nCOPY etc/* y/\n", "Sealfile")

    there = "etc/a, etc/b/c, y/b/c"
    assert f"in sealos it is a, b/c, y/c; in sealer it would be {there}" in note.message


def test_what_the_other_rules_refuse_is_told(advise: Advise) -> None:
    (note,) = notes(advise, "FROM scratch\nCOPY a.yaml x\nCOPY etc x\n")

    assert "in sealer it is x/a.yaml" in note.message


@pytest.mark.parametrize("head", ["# syntax=sealer\n", "# syntax=sealos\n"])
def test_a_file_that_says_its_dialect_is_left_alone(head: str, advise: Advise) -> None:
    assert notes(advise, f"{head}FROM scratch\nCOPY etc .\n") == []


def test_it_can_be_silenced(advise: Advise) -> None:
    text = "FROM scratch\n# lint: ignore=W23\nCOPY etc .\n"

    assert notes(advise, text) == []
