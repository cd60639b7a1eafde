"""Several workers on one target, and workers that know each other by a database alone."""

import json
import os
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
from hypothesis.database import DirectoryBasedExampleDatabase

from harness.databases.place import parse_place
from harness.fuzz import command
from harness.fuzz.finding import Finding
from harness.fuzz.options import Options
from harness.fuzz.sharing import SharedCases
from harness.fuzz.target import NAMES, Target
from harness.fuzz.team import Reporting, jobs

BROKEN = Path(__file__).with_name("broken.py")
ROOT = Path(__file__).parents[3]


def start(tmp_path: Path, bug: str, *arguments: str) -> subprocess.Popen[str]:
    fixed = ("parser", "--engine", "lines", "--seed", "1", "--corpus", str(tmp_path / "corpus"), "--workers", "2")
    return subprocess.Popen(
        [sys.executable, str(BROKEN), *fixed, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "BROKEN": f"{bug}:{tmp_path}", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_a_finding_of_many_is_reported_once_and_small_and_a_killed_worker_is_told(tmp_path: Path) -> None:
    with start(tmp_path, "killed", "--workers", "3", "--runs", "300") as team:
        out, err = team.communicate()

    assert team.returncode == 1, err
    assert out.count("AssertionError: too long") == 1
    assert [path.read_text() for path in tmp_path.glob("corpus/crash-*")] == ["000"]
    assert sum(line.endswith("was killed by SIGKILL; the others go on") for line in err.splitlines()) == 1
    assert " 1 found; worker " in err.splitlines()[-1]


def test_ctrl_c_ends_all_with_one_summary(tmp_path: Path) -> None:
    with start(tmp_path, "waits", "--time", "600") as team:
        while team.poll() is None and len(list(tmp_path.glob("waits-*"))) < 2:
            time.sleep(0.05)
        team.send_signal(signal.SIGINT)
        out, err = team.communicate()

    assert team.returncode == 0, err
    assert out == ""
    assert {line.partition(":")[0] for line in err.splitlines()} == {"parser"}
    assert err.rstrip().endswith("nothing found")
    for path in tmp_path.glob("waits-*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name.rpartition("-")[2]), 0)


def test_a_worker_is_needed_as_long_as_somebody_listens() -> None:
    reading, writing = os.pipe()
    reporting = Reporting(writing)

    before = reporting.is_needed()
    os.close(reading)

    assert (before, reporting.is_needed()) == (True, False)
    reporting.tell("nobody hears it")
    os.close(writing)


def fail_for_long(text: str) -> None:
    assert len(text) < 3, "too long"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """One worker on a machine of its own: only the database is common."""

    def call(machine: str, *arguments: str, check: Callable[[str], Any] = fail_for_long) -> Result:
        target = Target("parser", st.text(), check, dump=str.encode, load=bytes.decode)
        monkeypatch.setattr(command, "find_target", lambda _name: target)
        fixed = ("parser", "--engine", "lines", "--seed", "1", "--database", str(tmp_path / "examples"))
        return CliRunner().invoke(command.fuzz, [*fixed, "--corpus", str(tmp_path / machine), *arguments])

    return call


def test_a_worker_that_comes_later_begins_with_what_is_known(run: Callable[..., Result], tmp_path: Path) -> None:
    run("one", "--runs", "200")

    later = run("two", "--runs", "1")

    assert later.exit_code == 1
    assert later.output.count("AssertionError: too long") == 1
    assert "Another worker found it.\n\nThe smallest case that was found:\n\n'000'\n" in later.output
    assert [path.read_text() for path in tmp_path.glob("two/crash-*")] == ["000"]


def test_what_is_mended_here_is_not_reported(run: Callable[..., Result]) -> None:
    run("one", "--runs", "200")

    later = run("two", "--runs", "1", check=len)

    assert later.exit_code == 0
    assert "nothing found" in later.output


def test_a_worker_that_only_reads_leaves_nothing(run: Callable[..., Result], tmp_path: Path) -> None:
    run("one", "--runs", "200", "--database-read-only")

    assert not (tmp_path / "examples").exists()


def test_what_nobody_came_to_make_small_is_reported_at_the_end(run: Callable[..., Result], tmp_path: Path) -> None:
    shared = SharedCases(DirectoryBasedExampleDatabase(tmp_path / "examples"), "parser")
    shared.keep_finding(Finding("AssertionError x.py:1", b"not small", shown="'not small'\n"))

    def check(text: str) -> None:
        assert text != "not small"

    later = run("two", "--runs", "1", check=check)

    assert later.exit_code == 1
    assert "Another worker found it.\n\n'not small'\n" in later.output


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"origin": 1, "case": ""}', b"[" * 100_000, b'{"case": "?"}'])
def test_what_is_no_finding_is_left_alone(run: Callable[..., Result], tmp_path: Path, data: bytes) -> None:
    DirectoryBasedExampleDatabase(tmp_path / "examples").save(b"kubeimage.fuzz.parser.findings", data)

    assert run("one", "--runs", "1", check=len).exit_code == 0


def test_buffers_come_once_and_no_more_often_than_once_a_second(tmp_path: Path) -> None:
    now = 0.0
    one, two = (SharedCases(DirectoryBasedExampleDatabase(tmp_path), "parser", clock=lambda: now) for _ in range(2))
    one.keep_seed(b"long")
    one.keep_seed(b"x")

    assert two.new_seeds() == [b"x", b"long"]
    assert one.new_seeds() == []
    one.keep_seed(b"y")
    assert two.new_seeds() == []
    now = 1.0
    assert two.new_seeds() == [b"y"]


OPTIONS = Options(60.0, 100, None, None, 7, "lines", (parse_place("examples"),))


@pytest.mark.parametrize(
    ("name", "workers", "targets", "seconds"),
    [
        (None, 1, list(NAMES), 60 / len(NAMES)),
        (None, len(NAMES) + 1, [*NAMES, NAMES[0]], 60),
        ("parser", 3, ["parser"] * 3, 60),
    ],
)
def test_workers_divide_targets_and_time(name: str | None, workers: int, targets: list[str], seconds: float) -> None:
    divided = jobs(name, OPTIONS, workers)

    assert [job.target for job in divided] == targets
    for job in divided:
        given = dict(zip(job.arguments, job.arguments[1:], strict=False))
        assert float(given["--time"]) == pytest.approx(seconds)
        assert given["--database"] == "examples"
    assert len({job.arguments[job.arguments.index("--seed") + 1] for job in divided}) == len(divided)


def test_several_of_one_target_begin_with_other_parts_of_its_corpus() -> None:
    parts = [job.arguments[job.arguments.index("--share") :][1:3] for job in jobs("parser", OPTIONS, 3)]

    assert parts == [("0", "3"), ("1", "3"), ("2", "3")]


def test_a_finding_is_a_document() -> None:
    assert json.loads(Finding("E x:1", b"\xff").dump())["case"] == "/w=="
