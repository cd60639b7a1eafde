"""The tool that mutates by machine, on a small tree of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="Cosmic Ray is not installed: pip install 'kubeimage[mutants]'")

from tests.mutants.machine.__main__ import interval, read_verdicts, summary, write_verdicts
from tests.mutants.machine.covering import Covering, covering
from tests.mutants.machine.mutations import Mutation, modules, mutated, mutations, sample
from tests.mutants.machine.trials import Verdict
from tests.mutants.runner import ROOT

CODE = """\
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    NEVER = 1 + 1

def larger(one: int | None, other: int) -> int | bool:
    count: int | None = other
    while one == 7:
        pass
    return (one or 0) > count

def unused(one: int) -> int:
    return one + 1
"""
TEST = """\
from kubeimage.code import larger

def test_larger():
    assert larger(2, 1)
    assert not larger(1, 1)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "kubeimage").mkdir()
    (tmp_path / "kubeimage/code.py").write_text(CODE)
    (tmp_path / "test_code.py").write_text(TEST)
    return tmp_path


def test_annotations_and_what_only_type_checkers_read_are_left_alone(tree: Path) -> None:
    lines = {one.line for one in mutations(tree, "kubeimage/code.py")}

    assert lines == {8, 10, 13}


def test_each_mutation_is_other_code_that_compiles(tree: Path) -> None:
    for one in mutations(tree, "kubeimage/code.py"):
        compile(mutated(tree, one), one.path, "exec")


def test_a_sample_is_the_same_for_one_seed_and_has_no_place_twice(tree: Path) -> None:
    rooms = ["kubeimage/code.py"]
    first, again, other = (sample(tree, rooms, 5, seed) for seed in (1, 1, 2))

    assert first == again != other
    assert len({(one.line, one.column, one.operator.partition("_")[0]) for one in first}) == 5
    assert len(sample(tree, ["kubeimage"], 1_000, 1)) < len(list(mutations(tree, "kubeimage/code.py")))


def test_rooms_are_folders_and_modules(tree: Path) -> None:
    assert modules(tree, ["kubeimage", "kubeimage/code.py"]) == ["kubeimage/code.py"]


def test_the_quickest_tests_of_a_line_come_first() -> None:
    known = {
        "slow": Covering(2.0, {"a.py": [1, 2]}),
        "quick": Covering(1.0, {"a.py": [1]}),
        "else": Covering(0.0, {"b.py": [1]}),
    }

    assert [covering(known, "a.py", line) for line in (1, 2, 3)] == [["quick", "slow"], ["slow"], ["quick", "slow"]]
    assert covering(known, "c.py", 1) == []


def test_each_function_is_tried_before_its_other_rows_and_all_within_a_time() -> None:
    rows = {f"table[{number}]": Covering(0.1 * number, {"a.py": [1]}) for number in range(1, 4)}
    known = {**rows, "other": Covering(5.0, {"a.py": [1]})}

    assert covering(known, "a.py", 1) == ["table[1]", "other", "table[2]", "table[3]"]
    assert covering(known, "a.py", 1, seconds=5.2) == ["table[1]", "other"]


M = Mutation("kubeimage/code.py", "core/NumberReplacer", 0, 1, 2)


def test_verdicts_are_kept_and_read_again(tmp_path: Path) -> None:
    verdicts = {M: Verdict(M, "survived", 3, 0.5)}
    write_verdicts(tmp_path / "kept.json", verdicts.values())

    assert read_verdicts(tmp_path / "kept.json") == verdicts
    assert read_verdicts(tmp_path / "none.json") == read_verdicts(None) == {}


def test_the_summary_names_the_living_and_has_an_interval() -> None:
    verdicts = (
        [Verdict(M, "killed", 1, 0.1)] * 95 + [Verdict(M, "timeout", 1, 0.1)] * 2 + [Verdict(M, "survived", 1, 0.1)] * 3
    )

    said = summary(verdicts).splitlines()

    assert said[:3] == ["survived: kubeimage/code.py:1:2 NumberReplacer"] * 3
    assert said[3] == "97 of 100 dead: 97.0%, 95 % interval 91.5% to 99.0%"
    assert interval(0, 10)[0] == pytest.approx(0, abs=1e-9)


TRIALS = """
from pathlib import Path
from tests.mutants.machine.mutations import mutations
from tests.mutants.machine.trials import prepare, try_one

prepare()
tree = Path(TREE)
for one in mutations(tree, "toy.py"):
    if one.operator in CHOSEN:
        print(one.line, try_one(tree, one, ["test_toy.py::test_larger"], limit=20 if one.line != 8 else 3).how)
"""
CHOSEN = ("core/NumberReplacer", "core/ReplaceComparisonOperator_Gt_GtE", "core/ReplaceComparisonOperator_Eq_NotEq")


@pytest.mark.usefixtures("nightly")
def test_trials_tell_the_dead_from_the_living(tree: Path) -> None:
    (tree / "toy.py").write_text(CODE)
    (tree / "test_toy.py").write_text(TEST.replace("kubeimage.code", "toy"))
    (tree / "kubeimage/code.py").unlink()
    (tree / "kubeimage").rmdir()
    (tree / "pytest.ini").write_text("[pytest]\n")
    script = f"TREE = {str(tree)!r}\nCHOSEN = {CHOSEN}\n{TRIALS}"

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    said = set(done.stdout.splitlines())
    assert {"8 timeout", "10 killed", "13 survived"} <= said
    assert (tree / "toy.py").read_text() == CODE


@pytest.fixture
def nightly(request: pytest.FixtureRequest) -> None:
    """Skip in a run that does not look for long."""
    if request.config.getoption("--hypothesis-profile") != "nightly":
        pytest.skip("takes minutes: --hypothesis-profile=nightly")


@pytest.mark.usefixtures("nightly")
def test_of_a_sample_of_the_core_most_are_noticed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutants.machine", "--sample", "50"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-2_000:]
