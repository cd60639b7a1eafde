"""The tool that mutates by machine, on a small tree of its own."""

import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

pytest.importorskip("cosmic_ray", reason="Cosmic Ray is not installed: pip install 'kubeimage[mutants]'")

from tests.mutants.machine.covering import Covering, covering, stages
from tests.mutants.machine.kept import EXPLAINED, Kept, interval, keep, read_explained, read_kept, summary
from tests.mutants.machine.mutations import Mutation, modules, mutated, mutations, sample, statement
from tests.mutants.machine.trials import Verdict, applied
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

def fails() -> None:
    try:
        larger(1, 1)
    except (json.JSONDecodeError, ValueError):
        pass
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

    assert lines == {8, 10, 13, 17, 18}


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


def test_a_statement_is_all_its_lines_and_of_one_with_a_body_the_head(tree: Path) -> None:
    text = "if (1\n  + 2):\n    x = (3 +\n      4)\nelse:\n    y = 5\n"
    (tree / "kubeimage/code.py").write_text("A = 1\ndef f(x=2):\n" + indent(text, " "))

    lines = {one.line - 2: statement(tree, one) for one in mutations(tree, "kubeimage/code.py")}

    assert lines == {
        -1: range(0),
        0: range(0),
        1: range(3, 5),
        2: range(3, 5),
        3: range(5, 7),
        4: range(5, 7),
        6: range(8, 9),
    }


def test_the_quickest_tests_of_a_line_come_first() -> None:
    known = {
        "slow": Covering(2.0, {"a.py": [1, 2]}),
        "quick": Covering(1.0, {"a.py": [1]}),
        "else": Covering(0.0, {"b.py": [1]}),
    }
    chosen = [covering(known, "a.py", range(line, end)) for line, end in ((1, 2), (2, 3), (2, 4), (3, 4))]

    assert chosen == [["quick", "slow"], ["slow"], ["slow"], ["quick", "slow"]]
    assert covering(known, "c.py", range(1, 2)) == []


def test_the_tests_beside_a_module_run_whatever_the_map_says_of_their_children() -> None:
    known = {"slow": Covering(2.0, {"k/a.py": [1]}), "tests/k/test_a.py::test": Covering(1.0, {"b.py": [1]})}

    assert covering(known, "k/a.py", range(1, 2)) == ["tests/k/test_a.py::test", "slow"]


def test_what_no_test_runs_more_than_to_import_it_is_tried_on_its_room() -> None:
    known = {"tests/k/test_a.py::test": Covering(1.0, {"b.py": [1]}), "tests/l/test.py::test": Covering(1.0, {})}

    assert covering(known, "k/c.py", range(1, 2)) == ["tests/k/test_a.py::test"]


def test_quick_tests_come_before_other_rows_of_the_same_and_those_before_slow_ones() -> None:
    rows = {f"table[{number}]": Covering(1.0, {"a.py": [1]}) for number in range(3)}
    known = {**rows, "other": Covering(1.5, {"a.py": [1]}), "slow": Covering(9.0, {"a.py": [1]})}

    assert covering(known, "a.py", range(1, 2)) == ["table[0]", "other", "table[1]", "table[2]", "slow"]
    assert covering(known, "a.py", range(1, 2), seconds=4) == ["table[0]", "other", "table[1]"]


def test_the_file_beside_a_module_is_tried_first_and_what_lies_in_many_files_last() -> None:
    files = [f"tests/kubeimage/{name}.py::test" for name in "abcdefgh"]
    near = "tests/kubeimage/store/test_gc.py::test"

    assert stages([*files, near], "kubeimage/store/gc.py") == ([near, *files[:5]], files[5:])


M = Mutation("kubeimage/code.py", "core/NumberReplacer", 0, 10, 19)


def verdict(how: str) -> Kept:
    return Kept(Verdict(M, how, "test.py::test", 3, 0.5), "return 1", "return 2")


def test_two_mutations_in_one_second_are_compiled_apart_and_the_module_is_whole_again(tree: Path) -> None:
    path = tree / "kubeimage/code.py"
    before, ages = path.stat(), []
    for one in list(mutations(tree, "kubeimage/code.py"))[:3]:
        text = mutated(tree, one)
        with applied(tree, one):
            ages.append(int(path.stat().st_mtime))
            assert path.read_text() == text

    assert len({*ages, int(before.st_mtime)}) == 4
    assert (path.read_text(), path.stat().st_mtime_ns) == (CODE, before.st_mtime_ns)


def test_verdicts_are_kept_and_the_later_one_of_a_mutation_counts(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    for how in ("survived", "killed"):
        keep(path, verdict(how))

    assert read_kept(path) == {M: verdict("killed")}
    assert read_kept(tmp_path / "none.jsonl") == read_kept(None) == {}


def test_a_mutation_is_found_again_where_its_line_stands_now(tree: Path) -> None:
    path = tree / "kubeimage/code.py"
    kept = [Kept.of(tree, Verdict(one, "survived", "", 1, 0.0)) for one in mutations(tree, "kubeimage/code.py")]
    assert all(one.before != one.after for one in kept)

    path.write_text(f"import os\n\n\n{CODE.replace('one == 7', 'one == 8')}")
    moved = [(one.verdict.mutation, one.found_again(tree)) for one in kept]

    assert {old.line for old, new in moved if new is None} == {8}
    assert all((new.line, new.operator) == (old.line + 3, old.operator) for old, new in moved if new is not None)


def test_the_summary_counts_what_a_test_could_notice_and_names_the_living() -> None:
    odd = verdict("survived")._replace(before="pass")
    dead = [verdict("killed")] * 94 + [verdict("timeout")] * 2 + [verdict("killed")._replace(at_first="survived")]
    kept = [
        *dead,
        verdict("survived"),
        verdict("survived"),
        verdict("no test covers it"),
        odd,
        verdict("incompetent"),
        verdict("rewritten"),
    ]

    text, part = summary(kept, {odd.key: "why"})
    said = text.splitlines()

    assert said[0] == "survived 0.5 s  kubeimage/code.py:10:19 NumberReplacer by test.py::test"
    assert said[1:3] == ["    - return 1", "    + return 2"]
    assert said[-3] == "103 sampled: 1 incompetent, 95 killed, 1 no test covers it, 1 rewritten, 3 survived, 2 timeout"
    assert said[-2] == "1 of the dead lived at first, 1 of the living change nothing"
    assert said[-1] == "97 of 100 dead: 97.0%, 95 % interval 91.5% to 99.0%"
    assert part == 0.97
    assert interval(0, 10)[0] == pytest.approx(0, abs=1e-9)


def test_each_mutation_that_changes_nothing_is_one_of_code_that_is_there() -> None:
    for key in read_explained(EXPLAINED):
        path, _, lines = key.partition(": ")
        before, _, after = lines.partition(" -> ")
        code = [line.strip() for line in (ROOT / path).read_text().splitlines()]
        assert before != after
        assert set(before.splitlines()) <= set(code), key


TRIALS = """
import sys
from pathlib import Path
from tests.mutants.machine import trials
from tests.mutants.machine.mutations import Mutation
from tests.mutants.machine.trials import prepare, try_one

trials.SLEEP = 2
prepare()
tree = Path(sys.argv[1])
for text in sys.argv[2:]:
    line, operator, test = text.split()
    mutation = Mutation("toy.py", f"core/{operator}", 0, int(line), 0)
    test = "test_toy.py" if test == "." else f"test_toy.py::{test}"
    verdict = try_one(tree, mutation, [[test]], {test: 0.1}, limit=2)
    print(verdict.how, verdict.by)
"""
TOY = """\
import time

def larger(one, other):
    return one > other

def half(one):
    while one > 5:
        one = one - 5
    return one

def waits(one):
    time.sleep(one * 3600)

SHARES = [1 / share for share in range(6 % 4, 4)]
"""
TOY_TEST = """\
import random, subprocess, sys
from pathlib import Path
from toy import *

def test_larger():
    assert larger(2, 1)

def test_larger_of_equals():
    assert not larger(1, 1)

def test_half():
    assert half(9) < 5

def test_waits():
    waits(0)

def test_fails_once(tmp_path_factory):
    seen = Path(__file__).with_name("seen")
    if not seen.exists():
        seen.touch()
        assert not larger(1, 1)
"""
# Operator, test, and what becomes of it.
ENDINGS = {
    "4 ReplaceComparisonOperator_Gt_GtE test_larger": "survived ",
    "4 ReplaceComparisonOperator_Gt_GtE test_larger_of_equals": "killed test_toy.py::test_larger_of_equals",
    "4 ReplaceComparisonOperator_Gt_GtE test_fails_once": "survived ",
    "4 ReplaceComparisonOperator_Gt_GtE .": "killed test_toy.py::test_larger_of_equals",
    "8 ReplaceBinaryOperator_Sub_Add test_half": "timeout test_toy.py::test_half",
    "12 ReplaceBinaryOperator_Mul_Add test_waits": "timeout test_toy.py::test_waits",
    "14 ReplaceBinaryOperator_Div_FloorDiv test_larger": "survived ",
    "14 ReplaceBinaryOperator_Mod_RShift test_larger": "incompetent ",
}


@pytest.mark.usefixtures("nightly")
def test_trials_tell_the_dead_from_the_living(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "test_toy.py").write_text(TOY_TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    done = subprocess.run(
        [sys.executable, "-c", TRIALS, str(tmp_path), *ENDINGS], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    assert dict(zip(ENDINGS, done.stdout.splitlines(), strict=True)) == ENDINGS
    assert (tmp_path / "toy.py").read_text() == TOY


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
