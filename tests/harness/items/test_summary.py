"""What a run says at its end."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.items.summary import slowest_lines
from tests.harness.conftest import Run, WriteProject

GOOD = {"app/Kubefile": "FROM scratch\nCOPY a.txt etc\nRUN echo hello > b\n", "app/a.txt": "hello\n"}


def report(*steps: tuple[float, str, str, bool]) -> SimpleNamespace:
    return SimpleNamespace(kubefile_steps=list(steps))


def test_the_slowest_steps_come_first_over_all_kubefiles() -> None:
    reports = [
        report((0.31, "a/Kubefile:2", "COPY a .", True), (75.0, "a/Kubefile:3", "RUN make", False)),
        report((4.0, "b/Kubefile:2", "RUN " + "x" * 90, False)),
        SimpleNamespace(),
    ]

    assert list(slowest_lines(reports, 2, 60)) == [
        "1 min 15 s a/Kubefile:3: RUN make",
        "     4.0 s b/Kubefile:2: RUN " + "x" * 30 + "…",
    ]
    assert [line.split(": ", 1)[1] for line in slowest_lines(reports, 0, 200)][2] == "cached: COPY a ."


@pytest.mark.parametrize(("number", "lines"), [("1", 1), ("0", 2)])
def test_durations_are_listed_where_they_are_asked_for(
    number: str, lines: int, project: WriteProject, run: Run
) -> None:
    project(GOOD)

    result = run("--kubefile=app", "-k", "build", f"--kubefile-durations={number}")

    result.stdout.fnmatch_lines(["*= slowest steps =*", "* s app/Kubefile:?: *"])
    assert len([line for line in result.outlines if " s app/Kubefile:" in line]) == lines


@pytest.mark.parametrize(("option", "told"), [("-v", True), ("-q", False)])
def test_images_are_listed_unless_the_run_is_quiet(option: str, *, told: bool, project: WriteProject, run: Run) -> None:
    project(GOOD)

    result = run("--kubefile=app", "-k", "build", option)

    assert any("cluster images" in line for line in result.outlines) is told
    assert not any("slowest steps" in line for line in result.outlines)
