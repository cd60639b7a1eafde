import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.cases.leaks import Leak, find_leaks, mount_points, own_sessions, take_snapshot
from kubeimage.store import Store


@pytest.fixture
def place(tmp_path: Path) -> tuple[str, str]:
    """Return a build context and a store."""
    (tmp_path / "context").mkdir()
    root = str(tmp_path / "store")
    Store.open(root).close()
    return str(tmp_path / "context"), root


def test_sessions_are_this_process_s_own_while_they_are_open(place: tuple[str, str]) -> None:
    _, root = place
    Path(root, "ingest/another").mkdir()
    Path(root, "ingest/another/lease").touch()
    with Store.open(root) as store, store.snapshots.scratch() as folder:
        assert own_sessions(root) == [os.path.dirname(folder)]

    assert own_sessions(root) == []


def test_what_is_left_in_an_own_session_is_a_leak_and_in_another_none(place: tuple[str, str]) -> None:
    context, root = place
    for name in ("own", "another"):
        Path(root, "ingest", name).mkdir()
    before = take_snapshot(context)

    assert find_leaks(before, context, [f"{root}/ingest/own"]) == [
        Leak(f"{root}/ingest/own", f"the unfinished write {root}/ingest/own")
    ]


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize(("sessions", "leaks"), [(["own"], 1), ([], 0)], ids=["own", "another's"])
def test_a_process_that_works_in_an_own_session_is_a_leak(
    place: tuple[str, str], sessions: list[str], leaks: int, gone: bool
) -> None:
    context, root = place
    work = Path(root, "ingest/own/3")
    work.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"], cwd=work) as process:
        before = take_snapshot(context)
        shutil.rmtree(work.parent if gone else work / "nothing", ignore_errors=True)
        found = find_leaks(before, context, [f"{root}/ingest/{name}" for name in sessions])
        process.kill()

    said = f"the process {process.pid} (sleep), which works in {work}"
    assert [leak for leak in found if leak.name == "sleep"] == [Leak("sleep", said)] * leaks


@pytest.mark.parametrize(("name", "leaks"), [("core", 2), (".coverage.host.1", 0), (".hypothesis", 0), ("kept", 0)])
def test_what_the_run_itself_writes_into_the_context_is_no_leak(place: tuple[str, str], name: str, leaks: int) -> None:
    context, _ = place
    kept = [f"{context}/kept"]
    before = take_snapshot(context, kept)
    Path(context, name).mkdir()
    Path(context, name, "file").touch()

    assert len(find_leaks(before, context, [], kept)) == leaks


def test_mount_points_are_those_of_the_kernel() -> None:
    assert {"/", "/proc"} <= set(mount_points())


@pytest.mark.parametrize("what", ["new", "gone", "changed"])
def test_what_a_build_does_to_its_context_is_a_leak(what: str, place: tuple[str, str]) -> None:
    context, _ = place
    file = Path(context, "file")
    if what != "new":
        file.write_text("1")
    before = take_snapshot(context)

    file.unlink() if what == "gone" else file.write_text("another")

    (leak,) = find_leaks(before, context, [])
    assert leak.text == f"the build context: file is {what}"
