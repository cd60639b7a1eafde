import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.asking.options import Settings
from harness.asking.subjects import Subject
from harness.cases.case import Case
from harness.cases.workshop import Workshop
from harness.checks.failed import CheckFailedError
from harness.checks.leftovers import check_no_leaks
from harness.fakes.memory_tree import MemoryTree
from harness.fakes.mounts import MemoryMounter
from harness.trees import write_tree
from kubeimage.errors import KubeimageError, SourceNotFoundError
from tests.harness.checks.conftest import Cases

TEXT = "FROM scratch\nCOPY a .\nRUN anything\n"


def test_a_build_that_leaves_nothing_passes(make_case: Cases) -> None:
    check_no_leaks(make_case(TEXT, {"a": "1"}, effect=lambda tree: tree.write("made", "")))


def test_a_changed_context_is_told(make_case: Cases, tmp_path: Path) -> None:
    def effect(_tree: MemoryTree) -> None:
        (tmp_path / "app/new").touch()
        (tmp_path / "app/a").write_text("changed")

    with pytest.raises(CheckFailedError, match="the build left 2 things behind") as raised:
        check_no_leaks(make_case(TEXT, {"a": "1"}, effect=effect))

    assert raised.value.details == (
        "  the build context: a is changed",
        "  the build context: new is new",
    )


def test_a_process_that_lives_on_is_told(make_case: Cases) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def effect(_tree: MemoryTree) -> None:
        started.append(subprocess.Popen(["sleep", "60"]))

    try:
        with pytest.raises(CheckFailedError, match="1 thing behind") as raised:
            check_no_leaks(make_case(TEXT, {"a": "1"}, effect=effect))
    finally:
        for process in started:
            process.kill()
            process.wait()

    assert raised.value.details[0].startswith(f"  the process {started[0].pid} (")


def test_a_failed_build_must_leave_nothing_either(make_case: Cases, tmp_path: Path) -> None:
    def effect(_tree: MemoryTree) -> None:
        (tmp_path / "app/new").touch()
        raise SourceNotFoundError("anything")

    case = make_case(TEXT, {"a": "1"}, effect=effect)

    with pytest.raises(CheckFailedError, match="the build left 1 thing behind"):
        check_no_leaks(case)
    with pytest.raises(KubeimageError, match="anything"):
        case.result  # noqa: B018 - asking is what raises


class LeakyMounter(MemoryMounter):
    """Counts one mount too many."""

    @property
    def mounted(self) -> int:
        return super().mounted + 1


def test_a_mount_in_memory_that_stays_is_told(make_case: Cases) -> None:
    case = make_case(
        TEXT,
        {"a": "1"},
        effect=lambda _tree: None,
        change=lambda backends: replace(backends, mounter=LeakyMounter(backends.layers)),
    )

    with pytest.raises(CheckFailedError) as raised:
        check_no_leaks(case)

    assert raised.value.details == ("  1 mounted in memory",)


# Says that it has begun, and stays until it may end.
SLOW = "FROM scratch\nRUN echo > {begun}; while [ ! -e {end} ]; do sleep 0.02; done; echo > made\n"


def test_another_s_build_in_the_same_store_is_no_leak(tmp_path: Path) -> None:
    begun, end, root = tmp_path / "begun", tmp_path / "end", tmp_path / "store"
    os.mkfifo(begun)
    write_tree(str(tmp_path / "slow"), {"Kubefile": SLOW.format(begun=begun, end=end)})
    write_tree(str(tmp_path / "app"), {"Kubefile": "FROM scratch\nRUN echo > made\n"})
    settings = Settings(root=str(root), backend="copy", isolation="none")
    case = Case(Workshop(settings, str(tmp_path / "run")), Subject(str(tmp_path / "app/Kubefile")))
    command = [sys.executable, "-m", "kubeimage", "--root", str(root), "build", "--mount=copy", "--isolation=none"]

    with subprocess.Popen([*command, "-q", "-t", "slow:v1", str(tmp_path / "slow")], stdout=subprocess.DEVNULL) as slow:
        begun.read_text()
        mine = case.outcome
        end.touch()

    assert slow.returncode == 0
    assert mine.result is not None
    assert mine.leaks == ()
