"""A system that fails kubeimage at any of its calls: what is told, what is left, and what the next build makes."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cases.kubefs import KubeFs
from harness.fakes.mounts import MemoryMounter
from harness.fakes.runner import ShellInterpreter
from harness.faults.faults import SHORT, IoFaults, dies_at
from harness.trees import Content, write_tree
from kubeimage.api.backends import Backends, open_backends
from kubeimage.api.building import BuildOptions, build_image
from kubeimage.errors import KubeimageError, StoreFullError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.kubefile import parse
from kubeimage.mount.copymounter import CopyMounter
from kubeimage.store import Store, layout

KUBEFILE = parse("FROM scratch\nCOPY . etc\nRUN echo 1 > made && rm etc/a\nCMD go\n", file="Kubefile")
CONTEXT: dict[str, Content] = {"a": "1", "big": b"x" * 300_000}
APP = Reference.parse("app:v1")
OPTIONS = BuildOptions(references=(APP,))


@contextmanager
def opened(folder: Path) -> Iterator[Backends]:
    with open_backends(str(folder / "store"), mount="copy", isolation="none") as backends:
        yield replace(backends, mounter=MemoryMounter(backends.layers), runner=ShellInterpreter())


def make(folder: Path) -> Digest:
    with opened(folder) as backends:
        return build_image(KUBEFILE, str(folder / "context"), backends, options=OPTIONS).image.id


@pytest.mark.parametrize(
    ("name", "ask"),
    [("stat", lambda seen, path: seen.path.exists(path)), ("access", lambda seen, path: seen.access(path, os.R_OK))],
    ids=["stat", "access"],
)
def test_a_question_that_the_system_fails_is_answered_with_no(
    name: str, ask: Callable[[Any, str], bool], tmp_path: Path
) -> None:
    with IoFaults(0, errno.EIO, among=frozenset({name})) as faults:
        answer = ask(vars(layout)["os"], str(tmp_path))

    assert answer is False
    assert faults.hit is not None


@pytest.fixture
def places(tmp_path: Path) -> Callable[[], Path]:
    """Make a new folder with a context at each call."""
    count = iter(range(10_000))

    def place() -> Path:
        folder = tmp_path / str(next(count))
        write_tree(str(folder / "context"), CONTEXT)
        return folder

    return place


def attempt(fault: IoFaults, folder: Path) -> Digest | BaseException:
    """Build under a fault; an expected failure is given, another one is raised."""
    try:
        with fault:
            return make(folder)
    except (KubeimageError, KeyboardInterrupt) as failure:
        return failure


@pytest.mark.parametrize(("error", "kind"), [(errno.ENOSPC, StoreFullError), (errno.EIO, KubeimageError)])
def test_a_system_that_goes_on_failing_is_told_of(places: Callable[[], Path], error: int, kind: type) -> None:
    expected = make(places())

    for fault in IoFaults.every(error, step=9, lasting=True):
        folder = places()
        outcome = attempt(fault, folder)

        assert outcome == expected or isinstance(outcome, kind), fault
        assert make(folder) == expected
        assert os.listdir(folder / "store/ingest") == []
    assert isinstance(attempt(IoFaults(0, error, lasting=True), places()), kind)


def test_a_process_dies_in_place_of_a_call(places: Callable[[], Path]) -> None:
    folder = places()

    assert dies_at(0, lambda: make(folder))
    assert not (folder / "store").exists()
    assert not dies_at(10_000, lambda: make(folder))
    assert (folder / "store/index.json").exists()


def test_work_that_fails_before_it_is_killed_is_told_of(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="failed before it was killed"):
        dies_at(0, lambda: 1 / 0)

    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_copied_rootfs_is_whole_however_little_is_moved_at_once(
    tmp_path: Path, places: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "copy_file_range")
    folder = places()
    make(folder)

    with Store.open(str(folder / "store")) as store:
        image = store.images.get(APP)
        assert image is not None
        stack = [layer.diff_id for layer in image.layers]
        for fault in IoFaults.every(SHORT):
            with fault, CopyMounter(store.snapshots).mount(stack) as mount:
                assert mount.changes() == [], fault
    assert fault.at is not None
    assert fault.at > 3


def test_without_a_number_the_calls_are_counted(places: Callable[[], Path]) -> None:
    with IoFaults() as faults:
        make(places())

    assert len(faults.calls) > 200
    assert faults.hit is None
    assert {"open", "write", "replace", "fsync"} <= {call.name for call in faults.calls}


def test_what_was_hit_is_known(places: Callable[[], Path]) -> None:
    folder = places()

    with IoFaults(0, errno.ENOSPC) as faults, pytest.raises(StoreFullError, match="No space left"):
        make(folder)

    assert faults.hit is not None
    assert str(folder) in str(faults.hit)
    assert repr(faults).startswith("<ENOSPC at call 0, ")


def test_calls_of_others_go_on(places: Callable[[], Path], tmp_path: Path) -> None:
    begin, done = threading.Event(), threading.Event()
    outcomes: list[object] = []

    def bystand() -> None:
        begin.wait(20)
        outcomes.append(make(places()))
        done.set()

    thread = threading.Thread(target=bystand)
    thread.start()
    with IoFaults(0, errno.EIO, lasting=True):
        (tmp_path / "file").write_text("pytest and tests write as ever")
        begin.set()
        assert done.wait(20)
    thread.join()

    assert len(outcomes) == 1


def test_all_is_as_before_afterwards(places: Callable[[], Path]) -> None:
    from kubeimage.store import blobs

    with pytest.raises(KubeimageError), IoFaults(0, errno.EIO):
        make(places())

    assert vars(blobs)["os"] is os
    assert "open" not in vars(blobs)


def test_faults_strike_files_in_memory_as_well() -> None:
    with KubeFs() as kube_fs:
        with pytest.raises(StoreFullError), IoFaults(5, errno.ENOSPC):
            kube_fs.build("FROM scratch\nCOPY a .", {"a": "1"})

        assert kube_fs.build("FROM scratch\nCOPY a .", {"a": "1"}).rootfs == {"a": "1"}
        assert [one for one in kube_fs.check() if one.damage] == []


def test_a_fault_that_is_not_entered_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="context to work in"):
        list(IoFaults.every(errno.EIO))
