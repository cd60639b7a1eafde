"""One command opens its store once, plans once, and reads FROM once: what was checked is what is built."""

import pytest

from tests.counting import BUILT, EXPANDED, OPENED, PLANNED, count_calls
from tests.kubeimage.cli.conftest import MakeContext, Run

APP = "ARG BASE=base\nFROM $BASE:v1\nCOPY a .\nRUN true\n"


@pytest.fixture
def project(run: Run, make_context: MakeContext) -> str:
    base = make_context({"Kubefile": "FROM scratch\nCOPY a .\n", "a": "0"}, "base")
    run("build", "-q", "-t", "base:v1", base)
    return str(make_context({"Kubefile": APP.replace("RUN true\n", ""), "a": "1"}))


def test_a_build_plans_once(run: Run, project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = count_calls(monkeypatch.setattr)

    run("build", "-q", "-t", "app:v1", project)

    assert counts == {OPENED: 1, PLANNED: 1, EXPANDED: 1, BUILT: 1}


def test_a_build_for_two_platforms_opens_once_and_plans_each(
    run: Run, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context({"Kubefile": "FROM scratch\nCOPY a .\n", "a": "0"})
    counts = count_calls(monkeypatch.setattr)

    run("build", "-q", "-t", "app:v1", "--platform", "linux/amd64,linux/arm64", context)

    assert counts == {OPENED: 1, PLANNED: 2, EXPANDED: 2}


def test_a_plan_plans_once(run: Run, project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = count_calls(monkeypatch.setattr)

    run("plan", "-q", project)

    assert counts == {OPENED: 1, PLANNED: 1, EXPANDED: 1}


def test_a_merge_opens_once(run: Run, project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = count_calls(monkeypatch.setattr)

    run("merge", "-t", "both:v1", "base:v1", "base:v1")

    assert (project, counts) == (project, {OPENED: 1})
