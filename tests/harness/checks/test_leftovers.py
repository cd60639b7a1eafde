import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.checks.failed import CheckFailedError
from harness.checks.leftovers import check_no_leaks
from harness.fakes.memory_tree import MemoryTree
from harness.fakes.mounts import MemoryMounter
from kubeimage.errors import KubeimageError, SourceNotFoundError
from tests.harness.checks.conftest import Cases

TEXT = "FROM scratch\nCOPY a .\nRUN anything\n"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def test_a_build_that_leaves_nothing_passes(make_case: Cases) -> None:
    check_no_leaks(make_case(TEXT, {"a": "1"}, effect=lambda tree: tree.write("made", "")))


def test_a_changed_context_and_a_file_beside_it_are_told(make_case: Cases, tmp_path: Path) -> None:
    def effect(_tree: MemoryTree) -> None:
        (tmp_path / "app/new").touch()
        (tmp_path / "app/a").write_text("changed")
        Path("core").touch()

    with pytest.raises(CheckFailedError, match="the build left 3 things behind") as raised:
        check_no_leaks(make_case(TEXT, {"a": "1"}, effect=effect))

    assert raised.value.details == (
        "  the build context: a is changed",
        "  the build context: new is new",
        f"  the file 'core' in {os.getcwd()}",
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
