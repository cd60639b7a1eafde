"""`pytest --database`: tests share what failed, and a database that is away stops nobody."""

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import settings

from harness.asking.databases import DatabaseSettings
from harness.databases.place import parse_place
from harness.items.databases import SharedDatabase

TEST = """
from hypothesis import given, strategies as st
tried = []

@given(st.integers())
def test_small(number):
    tried.append(number)
    assert number < 1000

def test_what_was_tried_first():
    print("first:", tried[:1])
"""


@pytest.fixture(autouse=True)
def _profile_of_this_run() -> Iterator[None]:
    before = settings.get_current_profile_name()
    yield
    settings.load_profile(before)


def run(pytester: pytest.Pytester, *options: str) -> str:
    pytester.makepyfile(test_it=TEST)
    # In this order, whoever shuffles those of this run.
    ran = pytester.runpytest_inprocess("-n0", "-s", "-p", "no:cacheprovider", "-p", "no:randomly", *options)
    ran.assert_outcomes(passed=1, failed=1)
    return ran.stdout.str()


def test_what_failed_on_one_machine_is_tried_first_on_another(pytester: pytest.Pytester, tmp_path: Path) -> None:
    # This profile has no database of this machine's own.
    options = ("--hypothesis-profile=ci", f"--database={tmp_path / 'examples'}")
    run(pytester, *options)
    said = run(pytester, *options)

    assert f"example database: {tmp_path}/examples" in said
    assert "first: [1000]" in said


def test_a_server_that_is_away_is_said_once_and_the_tests_run(pytester: pytest.Pytester) -> None:
    pytest.importorskip("redis")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{nobody.getsockname()[1]}/0"
        said = run(pytester, f"--database={url}")

    assert said.count(f"the example database {url} does not answer; this run goes on without it") == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mysql://host", "a database is redis://HOST:PORT/NUMBER"),
        (f"{__file__}/below", "is no folder"),
    ],
)
def test_a_database_that_cannot_be_is_wrong_usage(pytester: pytest.Pytester, given: str, said: str) -> None:
    ran = pytester.runpytest_inprocess("-n0", f"--database={given}")

    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    assert f"--database: {given}" in ran.stderr.str()
    assert said in ran.stderr.str()


def test_what_workers_were_told_is_said_once() -> None:
    asked = DatabaseSettings((parse_place("examples"),))
    here = SharedDatabase(cast("pytest.Config", SimpleNamespace()), asked)
    worker = SharedDatabase(cast("pytest.Config", SimpleNamespace(workeroutput={})), asked)
    worker._tell("it is away")
    worker.pytest_sessionfinish()
    for _ in range(2):
        here.pytest_testnodedown(SimpleNamespace(workeroutput=cast("Any", worker._config).workeroutput))
    here.pytest_testnodedown(SimpleNamespace())

    said: list[str] = []
    for _ in range(2):
        here.pytest_terminal_summary(SimpleNamespace(write_line=said.append))
    assert said == ["it is away"]
