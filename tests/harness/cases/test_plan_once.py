"""All checks of one Kubefile: the store is opened, and the build planned, as seldom as is right."""

import json

import pytest

from tests.counting import BUILT, EXPANDED, OPENED, PLANNED
from tests.harness.conftest import Run, WriteProject

COUNTING = """
import json

import pytest

from tests.counting import count_calls

COUNTS = count_calls(setattr)


def pytest_unconfigure(config):
    with open({log!r}, "w") as stream:
        json.dump(COUNTS, stream)
"""


def test_all_checks_plan_once_and_once_more_where_they_build_elsewhere(
    project: WriteProject, run: Run, pytester: pytest.Pytester
) -> None:
    log = pytester.path / "log"
    project(
        {
            "conftest.py": COUNTING.format(log=str(log)),
            "app/Kubefile": "FROM scratch\nCOPY a.txt etc/\nCMD ls\n",
            "app/a.txt": "1",
        }
    )

    result = run("--kubefile=app", backend=None)

    result.assert_outcomes(passed=9)
    counts = json.loads(log.read_text())
    # The image; once more from the cache; once more in another store, which plans anew.
    assert counts[BUILT] == 3
    assert counts[PLANNED] == 2
    # The lint check looks at the steps before there is a base.
    assert counts[EXPANDED] == 3
    # The build, the build from the cache, and two stores beside each other; then whoever reads the image.
    assert counts[OPENED] <= 5
