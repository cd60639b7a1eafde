"""The command as a maintainer calls it, on a target with a bug in it."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import strategies as st

from harness.fuzz import command, libfuzzer
from harness.fuzz.target import Target


def fail_for_long(text: str) -> None:
    assert len(text) < 3, "too long"


def target_of(check: Callable[..., Any] = fail_for_long) -> Target:
    return Target("texts", st.text(), check, dump=str.encode, load=bytes.decode)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def call(*arguments: str, check: Callable[..., Any] = fail_for_long) -> Result:
        monkeypatch.setattr(command, "find_target", lambda _name: target_of(check))
        fixed = ("parser", "--engine", "lines", "--seed", "1", "--corpus", str(tmp_path / "corpus"))
        return CliRunner().invoke(command.fuzz, [*fixed, *arguments])

    return call


def test_what_fails_is_made_small_printed_and_saved_as_itself(run: Callable[..., Any], tmp_path: Path) -> None:
    result = run("--runs", "200")

    (saved,) = (tmp_path / "corpus").glob("crash-*")
    assert result.exit_code == 1
    assert saved.read_text() == "000"
    assert "AssertionError: too long" in result.output
    assert "'000'" in result.output
    assert str(saved) in result.output
    assert "200 cases" in result.output
    assert result.output.rstrip().endswith("1 found")


def test_where_nothing_fails_the_status_is_0(run: Callable[..., Any], tmp_path: Path) -> None:
    result = run("--runs", "20", check=lambda _text: None)

    assert result.exit_code == 0
    assert result.output.rstrip().endswith("nothing found")
    assert list(tmp_path.glob("corpus/crash-*")) == []


def test_the_time_ends_a_search(run: Callable[..., Any]) -> None:
    assert run("--time", "0").output.rstrip().endswith("0 cases, 0 a second, nothing found")


def test_an_interrupt_ends_it_with_the_summary(run: Callable[..., Any]) -> None:
    def check(text: str) -> None:
        if len(text) > 2:
            raise KeyboardInterrupt

    result = run(check=check)

    assert result.exit_code == 0
    assert result.output.rstrip().endswith("nothing found")


def test_failures_go_where_they_are_told_to(run: Callable[..., Any], tmp_path: Path) -> None:
    run("--runs", "200", "--save", str(tmp_path / "failures"))

    assert [path.read_text() for path in tmp_path.glob("failures/*")] == ["000"]
    assert list(tmp_path.glob("corpus/crash-*")) == []


def test_a_failure_that_cannot_be_saved_is_seen_all_the_same(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    result = run("--runs", "200", "--save", str(tmp_path / "file/failures"))

    assert result.exit_code == 1
    assert "'000'\n\nnot saved: " in result.output


def test_a_corpus_where_none_can_be_is_wrong_usage(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    result = run("--corpus", str(tmp_path / "file/corpus"))

    assert result.exit_code == 2
    assert "Not a directory" in result.output


def test_two_places_that_fail_are_two_findings(run: Callable[..., Any], tmp_path: Path) -> None:
    def check(text: str) -> None:
        assert len(text) < 2
        assert text.isascii()

    result = run("--runs", "300", check=check)

    assert {path.read_text() for path in tmp_path.glob("corpus/crash-*")} == {"00", "\x80"}
    assert result.output.rstrip().endswith("2 found")


def test_an_interrupt_while_a_case_is_made_smaller_saves_what_there_is(run: Callable[..., Any], tmp_path: Path) -> None:
    calls = iter(range(1000))

    def check(text: str) -> None:
        if len(text) > 1 and next(calls) > 5:
            raise KeyboardInterrupt
        assert len(text) < 2

    result = run(check=check)

    (saved,) = tmp_path.glob("corpus/crash-*")
    assert len(saved.read_text()) > 1
    assert result.exit_code == 1
    assert result.output.rstrip().endswith("1 found")


def test_a_strategy_that_fails_is_a_finding_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = Target(
        "broken",
        st.integers().map(lambda number: 1 // (number % 2)),
        print,
        dump=lambda number: repr(number).encode(),
        load=int,
    )
    monkeypatch.setattr(command, "find_target", lambda _name: broken)

    result = CliRunner().invoke(
        command.fuzz, ["parser", "--engine", "lines", "--runs", "20", "--corpus", str(tmp_path / "corpus")]
    )

    assert result.exit_code == 1
    assert "ZeroDivisionError" in result.output
    assert re.search(r"No case can be made of the buffer.\n\nsaved: .*/seed-\w+\n", result.output)


@pytest.mark.parametrize(
    "arguments",
    [
        ["archives"],
        ["--corpus", "somewhere"],
        ["--minimise"],
        ["parser", "--time", "soon"],
        ["parser", "--runs", "0"],
        ["parser", "--engine", "afl"],
        ["parser", "--workers", "0"],
        ["parser", "--database", "mysql://host"],
    ],
    ids=["unknown", "corpus of all", "minimise all", "time", "runs", "engine", "workers", "database"],
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(command.fuzz, arguments).exit_code == 2


def test_atheris_is_asked_for_in_vain_where_it_is_not_installed(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libfuzzer, "is_there", lambda: False)

    result = run("--engine", "atheris")

    assert result.exit_code == 2
    assert "pip install 'kubeimage[fuzz]'" in result.output


@pytest.mark.skipif(not libfuzzer.is_there(), reason="atheris is not installed")
def test_libfuzzer_ends_when_it_has_done_what_was_asked_for(tmp_path: Path) -> None:
    arguments = ["parser", "--engine", "atheris", "--runs", "50", "--corpus", str(tmp_path / "corpus")]

    done = subprocess.run(
        [sys.executable, "-m", "harness.fuzz", *arguments], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0
    assert done.stderr.rstrip().endswith("nothing found")
    assert list(tmp_path.glob("corpus/*"))


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        pytest.param("atheris", "parser", marks=pytest.mark.skipif(not libfuzzer.is_there(), reason="not installed")),
        # Commands that are interrupted end with a status, and raise nothing.
        ("lines", "store"),
    ],
)
def test_ctrl_c_ends_a_search_with_its_summary(tmp_path: Path, engine: str, name: str) -> None:
    arguments = [name, "--engine", engine, "--seed", "1", "--corpus", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-m", "harness.fuzz", *arguments], stderr=subprocess.PIPE, text=True
    ) as fuzz:
        while fuzz.poll() is None and len(list(tmp_path.iterdir())) < 3:
            time.sleep(0.05)

        fuzz.send_signal(signal.SIGINT)
        _, said = fuzz.communicate()

    assert fuzz.returncode == 0
    assert said.rstrip().endswith("nothing found")


def test_minimising_keeps_one_buffer_for_each_line(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(5):
        (corpus / f"seed-{number}").write_bytes(bytes(number))

    result = CliRunner().invoke(command.fuzz, ["parser", "--minimise", "--corpus", str(corpus)])

    assert result.exit_code == 0
    assert [path.name for path in corpus.iterdir()] == ["seed-0"]
    assert "4 deleted, 1 left" in result.output
