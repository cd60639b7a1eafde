"""What a run found, in a file for code scanning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness.conftest import Run, WriteProject
from tests.kubeimage.report.test_sarif import VALIDATOR

PROJECTS = {
    "good/Kubefile": "FROM scratch\nCOPY a etc\n",
    "good/a": "",
    "odd/Kubefile": "FROM scratch\nCOPY a etc\nCMD x\nCMD x\n",
    "odd/a": "",
    "bad/Kubefile": "FROM scratch\nFORM x\n",
    "broken/Kubefile": "FROM scratch\n\nCOPY gone etc\n",
}


def found(pytester: pytest.Pytester, path: str = "kube.sarif") -> list[tuple[str, str, int]]:
    """Return rule, file and line of each result of a valid log."""
    log: dict[str, Any] = json.loads((pytester.path / path).read_text())
    VALIDATOR.validate(log)
    places = [(one["ruleId"], one["locations"][0]["physicalLocation"]) for one in log["runs"][0]["results"]]
    return [(rule, place["artifactLocation"]["uri"], place["region"]["startLine"]) for rule, place in places]


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_failures_and_warnings_are_results_at_their_lines(
    workers: str, project: WriteProject, run: Run, pytester: pytest.Pytester
) -> None:
    project(PROJECTS)
    names = [f"--kubefile={name}" for name in ("good", "odd", "bad", "broken")]

    result = run(*names, workers, "--kubefile-sarif=out/kube.sarif", "-k", "parse or lint or build", "-p", "xdist")

    # Each is told once, by whichever check tells it.
    assert found(pytester, "out/kube.sarif") == [
        ("E0201", "bad/Kubefile", 2),
        ("E0302", "broken/Kubefile", 3),
        ("W04", "odd/Kubefile", 4),
    ]
    assert result.ret == 1


def test_a_run_that_finds_nothing_writes_a_log_of_nothing(
    project: WriteProject, run: Run, pytester: pytest.Pytester
) -> None:
    project(PROJECTS)

    run("--kubefile=good", "--kubefile-sarif=kube.sarif", "-k", "lint")

    assert found(pytester) == []


def test_a_check_that_does_not_hold_is_a_result_at_its_line(
    project: WriteProject, run: Run, pytester: pytest.Pytester
) -> None:
    project({"Kubefile": "# comment\nFROM scratch\nCOPY a b .\n", "a": "", "b": ""})

    run("Kubefile", "--kubefile-max-size=1kB", "--kubefile-sarif=kube.sarif", "-k", "size-limit")

    assert found(pytester) == [("E0900", "Kubefile", 3)]


def test_a_folder_is_no_file_to_write_to(project: WriteProject, run: Run) -> None:
    project(PROJECTS)

    result = run("--kubefile=good", "--kubefile-sarif=good")

    result.stderr.fnmatch_lines(["ERROR: --kubefile-sarif=good: * is a folder, not a file"])
