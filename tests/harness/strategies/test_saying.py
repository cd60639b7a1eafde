"""What Hypothesis's statistics say of generated projects and of builds."""

import pytest

from harness.model.tree import DELETED
from harness.strategies.saying import count_whiteouts, say
from harness.trees import File

TEST = """
from hypothesis import given, settings
from harness.stateful import ExecutorMachine, MemoryPlace
from harness.stateful.agreement import project_backends, try_project
from harness.strategies import projects

@settings(max_examples=10, derandomize=True, database=None)
@given(projects())
def test_builds(project):
    try_project(project, project_backends(project))

TestMachine = ExecutorMachine.over(MemoryPlace).TestCase
TestMachine.settings = settings(max_examples=3, stateful_step_count=4, deadline=None, derandomize=True, database=None)
"""


def test_statistics_say_layers_whiteouts_hits_and_dialects(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)

    result = pytester.runpytest_inprocess("--hypothesis-show-statistics", "-n0", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=2)
    said = result.stdout.str()
    for expected in ("layers: ", "whiteouts: ", "cache hits: ", "dialect: sealer"):
        assert expected in said
    assert "Highest target scores:" in said
    for label in ("cache hits", "whiteouts"):
        assert f"(label='{label}')" in said


def test_outside_of_a_test_nothing_is_said() -> None:
    say("layers", 1)


def test_whiteouts_are_counted_by_their_names() -> None:
    layers = ({"a/.wh.b": DELETED, "a/.wh..wh..opq": DELETED, "wh.a": File(b"")}, {".wh.c": DELETED})

    assert count_whiteouts(layers) == 3
