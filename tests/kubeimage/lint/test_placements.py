from __future__ import annotations

from pathlib import Path

import pytest

from kubeimage.errors import Diagnostic
from kubeimage.lint import lint_bytes
from tests.kubeimage.lint.conftest import Advise

FIXTURES = Path(__file__).parents[3] / "fixtures"
FILES = {"etc/a": "1", "etc/b/c": "2", "a.yaml": "3"}


def notes(advise: Advise, text: str, file: str = "Kubefile", **more: str) -> list[Diagnostic]:
    """Return what is said of a file that lies beside FILES."""
    advise({"Kubefile": "FROM scratch\n", **FILES, **more})
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
        ("COPY --exact a.yaml x\nCOPY etc .", None, None),
        ("ARG A=1,B=2\nCOPY etc .", "etc/a, etc/b/c", "a, b/c"),
        ("RUN mkdir x\nCOPY a.yaml x", None, None),
        ("RUN mkdir x\nCOPY etc x", "x/etc/a, x/etc/b/c", "x/a, x/b/c"),
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


def test_what_stands_in_a_base_is_not_known_and_may_be_a_folder(advise: Advise) -> None:
    assert notes(advise, "FROM rootfs:v1\nCOPY a.yaml manifests\n") == []
    assert notes(advise, "FROM rootfs:v1\nCOPY etc manifests\n") != []


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("FROM scratch\nENV A=1\nCOPY etc .\n", "Sealfile"),
        ("FROM scratch\nCOPY --chown=1 etc .\n", "Dockerfile"),
        ("FROM scratch\nCOPY --exact etc x\nCOPY etc .\n", "Kubefile"),
    ],
)
def test_a_word_that_no_other_dialect_has_says_which_it_is(text: str, file: str, advise: Advise) -> None:
    assert notes(advise, text, file) == []


@pytest.mark.parametrize(
    ("file", "own", "other"),
    [("Kubefile", ".kubeignore", ".dockerignore"), ("Sealfile", ".dockerignore", ".kubeignore")],
)
def test_an_ignore_file_says_which_it_is_where_the_dialect_reads_it(
    file: str, own: str, other: str, advise: Advise
) -> None:
    assert notes(advise, "FROM scratch\nCOPY etc .\n", file, **{other: "z\n"}) != []
    assert notes(advise, "FROM scratch\nCOPY etc .\n", file, **{own: "z\n"}) == []


def test_of_the_sample_projects_those_are_told_of_whose_trees_differ() -> None:
    told = {
        kubefile.parent.name
        for kubefile in sorted(FIXTURES.glob("*/Kubefile"))
        for one in lint_bytes(kubefile.read_bytes(), file=str(kubefile), context=str(kubefile.parent))
        if one.code == "W23"
    }

    assert told == {"airgap", "chart", "multiarch"}


def test_it_can_be_silenced(advise: Advise) -> None:
    text = "FROM scratch\n# lint: ignore=W23\nCOPY etc .\n"

    assert notes(advise, text) == []
