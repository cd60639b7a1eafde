import os
import subprocess
from pathlib import Path

import pytest

from harness.cases.leaks import Leak, find_leaks, mount_points, take_snapshot
from kubeimage.store import Store


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Give a build context and a store."""
    (tmp_path / "context").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    root = str(tmp_path / "store")
    Store.open(root).close()
    return str(tmp_path / "context"), root


def test_a_running_session_is_no_leak_and_a_dead_ones_folder_is(place: tuple[str, str]) -> None:
    context, root = place
    before = take_snapshot(context)
    with Store.open(root) as store, store.snapshots.scratch():
        alive = find_leaks(before, context, root)
    os.makedirs(f"{root}/ingest/dead")
    Path(root, "ingest/dead/lease").touch()

    assert alive == []
    assert find_leaks(before, context, root) == [
        Leak(f"{root}/ingest/dead", f"the unfinished write {root}/ingest/dead")
    ]


def test_a_process_that_works_in_the_store_is_a_leak(place: tuple[str, str]) -> None:
    context, root = place
    with subprocess.Popen(["sleep", "60"], cwd=f"{root}/ingest") as process:
        before = take_snapshot(context)
        found = find_leaks(before, context, root)
        process.kill()

    assert found == [Leak("sleep", f"the process {process.pid} (sleep), which works in {root}/ingest")]


@pytest.mark.parametrize(("name", "leaks"), [("core", 3), (".coverage.host.1", 0), (".hypothesis", 0)])
def test_what_pytest_writes_into_the_working_directory_is_no_leak(
    place: tuple[str, str], name: str, leaks: int
) -> None:
    context, _ = place
    before = take_snapshot(context)
    Path(name).touch()
    Path(context, name).mkdir()
    Path(context, name, "file").touch()

    assert len(find_leaks(before, context, None)) == leaks


def test_mount_points_are_those_of_the_kernel() -> None:
    assert {"/", "/proc"} <= set(mount_points())
