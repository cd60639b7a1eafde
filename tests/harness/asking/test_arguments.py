"""Kubefiles among the test paths."""

import pytest

from tests.harness.conftest import Run, WriteProject

TREE = {"apps/a/Kubefile": "FROM scratch\nCOPY missing .\n", "apps/a/test_x.py": "def test_x(): pass\n"}

CHOOSES = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    config.args[:] = ["apps/a/test_x.py"]
"""


@pytest.mark.parametrize(
    ("arguments", "outcomes"),
    [
        (("apps/a/Kubefile",), {"passed": 4, "failed": 1, "skipped": 4}),
        ((".", "apps/a/Kubefile"), {"passed": 5, "failed": 1, "skipped": 4}),
        (("apps/a/Kubefile", "."), {"passed": 5, "failed": 1, "skipped": 4}),
        (("apps", "apps/a/Kubefile::build"), {"passed": 1, "failed": 1}),
        (("apps", "apps/a/Kubefile::build", "apps/a/Kubefile::parse"), {"passed": 2, "failed": 1}),
        (("apps/a/Kubefile::build", "apps", "apps/a/Kubefile"), {"passed": 5, "failed": 1, "skipped": 4}),
        (("apps/a/test_x.py", "apps/a/Kubefile"), {"passed": 5, "failed": 1, "skipped": 4}),
    ],
    ids=" ".join,
)
def test_a_kubefile_that_is_named_is_checked_whatever_is_named_beside_it(
    project: WriteProject, run: Run, arguments: tuple[str, ...], outcomes: dict[str, int]
) -> None:
    project(TREE)

    run(*arguments).assert_outcomes(**outcomes)


def test_one_in_a_folder_that_pytest_passes_over_is_checked_too(project: WriteProject, run: Run) -> None:
    project({"build/Kubefile": "FROM scratch\n", "test_x.py": "def test_x(): pass\n"})

    run(".", "build/Kubefile").assert_outcomes(passed=10)


def test_a_plugin_may_choose_other_test_paths(project: WriteProject, run: Run) -> None:
    project({**TREE, "conftest.py": CHOOSES, "pytest.ini": "[pytest]\nkubefile = apps\n"})

    run().assert_outcomes(passed=1)
