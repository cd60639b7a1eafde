"""Every mutant fits the code of today and stands in the table; and the runner knows the dead from the living."""

import re
from pathlib import Path

import pytest

from tests.mutants.__main__ import PAGE
from tests.mutants.patches import Mutant, StaleMutantError, all_mutants, apply, mutated, read_mutant
from tests.mutants.runner import ROOT, copied_tree, run_tests
from tests.mutants.table import make_row, read_rows, render
from tests.mutants.watching import Death

TOY_TEST = """\
import time
from hypothesis import given, strategies as st
from harness.strategies import Project
from kubeimage.image.document import MAX_LAYERS

@given(st.integers(0, 1_000).map(lambda number: Project.of("FROM scratch\\nARG A=1\\n", {str(number): ""})))
def test_small(project): assert int(*project.context) < MAX_LAYERS

def test_quick(): time.sleep(0 if MAX_LAYERS < 9_000 else 60)
"""


@pytest.mark.parametrize("mutant", all_mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_is_one_small_change_that_compiles(mutant: Mutant) -> None:
    for name, text in mutated(mutant, ROOT).items():
        assert name.startswith(("kubeimage/", "harness/cst/", "harness/rebuild/"))
        compile(text, name, "exec")
    assert sum(hunk.new != hunk.old for hunk in mutant.hunks) == len(mutant.hunks) <= 3
    assert all(re.fullmatch(r"D\d+", trap) for trap in mutant.traps)


def test_there_are_many_mutants_and_all_of_them_are_dead() -> None:
    mutants, rows = all_mutants(), read_rows(PAGE.read_text())

    assert len(mutants) >= 40
    assert [mutant.name for mutant in mutants] == [*rows]
    assert [row.mutant for row in rows.values() if not row.seconds] == []


def test_tests_that_are_tried_first_are_there() -> None:
    named = {test.partition("::")[0] for mutant in all_mutants() for test in mutant.tests}

    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def patch(folder: Path, old: str, new: str) -> Mutant:
    diff = f"--- a/code.py\n+++ b/code.py\n@@ -1 +1 @@\n-{old}\n+{new}\n"
    (folder / "wrong.patch").write_text(f"It is\nwrong.\n\nTrap: D1 D2\nTests: tests/a.py\n\n{diff}")
    return read_mutant(folder / "wrong.patch")


def test_a_patch_is_applied_wherever_its_lines_are_now(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("# new\n\nx = 1\nx = 11\n")
    mutant = patch(tmp_path, "x = 1", "x = 2")

    apply(mutant, tmp_path)

    assert (tmp_path / "code.py").read_text() == "# new\n\nx = 2\nx = 11\n"
    assert mutant[:4] == ("wrong", "It is wrong.", ("D1", "D2"), ("tests/a.py",))


@pytest.mark.parametrize("code", ["x = 3\n", "x = 1\nx = 1\n"], ids=["gone", "ambiguous"])
def test_a_patch_that_does_not_fit_is_named_with_its_lines(code: str, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(code)

    with pytest.raises(StaleMutantError, match=r"wrong\.patch: code\.py has these lines [02] times(.|\n)*\nx = 1\n"):
        apply(patch(tmp_path, "x = 1", "x = 2"), tmp_path)

    assert (tmp_path / "code.py").read_text() == code


@pytest.mark.parametrize(
    ("most", "test", "limit", "wanted"),
    [
        (5_000, "", 60, None),
        (100, "", 60, ("tests/test_toy.py::test_small", "AssertionError", 2, 1)),
        (9_000, "::test_quick", 0.1, ("tests/test_toy.py::test_quick", "timeout", None, None)),
    ],
    ids=["lives", "is found by a property", "hangs"],
)
def test_the_runner_says_how_a_mutant_dies(
    most: int, test: str, limit: float, wanted: tuple[object, ...] | None
) -> None:
    with copied_tree(ROOT, ("kubeimage", "harness", "tests/mutants", "pyproject.toml", "conftest.py")) as tree:
        (tree / "tests/test_toy.py").write_text(TOY_TEST)
        with (tree / "kubeimage/image/document.py").open("a") as file:
            file.write(f"MAX_LAYERS = {most}\n")

        death = run_tests(tree, [f"tests/test_toy.py{test}"], limit=limit)

    assert (death and (death.test, death.how, death.lines, death.files)) == wanted
    assert most != 100 or (death is not None and death.examples is not None)


def test_the_table_is_read_back_as_it_was_written() -> None:
    mutant = Mutant("m", "It is wrong.", ("D1",), (), ())
    rows = [make_row(mutant, Death("tests/a.py::test", "AssertionError", 0.2, 5, 3, 1)), make_row(mutant, None)]

    assert read_rows(render(rows[:1])) == {"m": rows[0]}
    assert "Killed: 1 of 2, 1 of them by a property" in render(rows)
    assert "**nothing**" in render(rows)
