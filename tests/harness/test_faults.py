"""A system that fails kubeimage at any of its calls: what is told, what is left, and what the next build makes."""

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.fakes.files import KubeFs
from harness.fakes.mounts import MemoryMounter
from harness.fakes.runner import ShellInterpreter
from harness.faults import SHORT, Error, IoFaults
from harness.trees import write_tree
from kubeimage.api import Backends, BuildOptions, build, open_backends
from kubeimage.cache import CacheRecords
from kubeimage.errors import KubeimageError, StoreFullError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.kubefile import parse
from kubeimage.mount.copying import CopyMounter
from kubeimage.store import Store, cache_folder

KUBEFILE = parse("FROM scratch\nCOPY . etc\nRUN echo 1 > made && rm etc/a\nCMD go\n", file="Kubefile")
CONTEXT = {"a": "1", "big": b"x" * 300_000}
APP = Reference.parse("app:v1")
OPTIONS = BuildOptions(references=(APP,))

# Under xdist the process has threads that a child does without.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def _disk_of_no_inertia(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel has taken outlives a process; waiting for the disk would only make these tests slow."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@contextmanager
def opened(folder: Path) -> Iterator[Backends]:
    with open_backends(str(folder / "store"), mount="copy", isolation="none") as backends:
        yield replace(backends, mounter=MemoryMounter(backends.layers), runner=ShellInterpreter())


def make(folder: Path) -> Digest:
    with opened(folder) as backends:
        return build(KUBEFILE, str(folder / "context"), backends, OPTIONS).image.id


def assert_whole(folder: Path, allowed: set[Digest | None]) -> None:
    root = str(folder / "store")
    with Store.open(root, cache=CacheRecords(cache_folder(root))) as store:
        assert [finding for finding in store.check() if finding.damage] == []
        image = store.images.get(APP)
    assert (image and image.id) in allowed


def assert_rebuilt(folder: Path, expected: Digest) -> None:
    assert make(folder) == expected
    assert os.listdir(folder / "store/ingest") == []


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


@pytest.mark.parametrize(
    ("error", "allowed", "step", "least"),
    [
        (errno.ENOSPC, StoreFullError, 1, 110),
        (errno.EIO, KubeimageError, 1, 200),
        (errno.EMFILE, KubeimageError, 1, 50),
        (SHORT, (), 1, 30),
        (KeyboardInterrupt, KeyboardInterrupt, 3, 200),
    ],
    ids=["ENOSPC", "EIO", "EMFILE", "short reads and writes", "interrupt"],
)
def test_a_build_that_fails_at_any_call_leaves_a_whole_store(
    places: Callable[[], Path], error: Error, allowed: type[BaseException], step: int, least: int
) -> None:
    expected = make(places())

    for fault in IoFaults.every(error, step=step):
        folder = places()
        outcome = attempt(fault, folder)

        assert outcome == expected or isinstance(outcome, allowed), fault
        assert_whole(folder, {expected} if outcome == expected else {expected, None})
        assert_rebuilt(folder, expected)
    assert fault.at > least


@pytest.mark.parametrize(("error", "kind"), [(errno.ENOSPC, StoreFullError), (errno.EIO, KubeimageError)])
def test_a_system_that_goes_on_failing_is_told_of(places: Callable[[], Path], error: int, kind: type) -> None:
    expected = make(places())

    for fault in IoFaults.every(error, step=9, lasting=True):
        folder = places()
        outcome = attempt(fault, folder)

        assert outcome == expected or isinstance(outcome, kind), fault
        assert_rebuilt(folder, expected)
    assert isinstance(attempt(IoFaults(0, error, lasting=True), places()), kind)


@pytest.mark.parametrize("start", range(3))
def test_a_build_that_is_killed_at_any_call_leaves_a_whole_store(places: Callable[[], Path], start: int) -> None:
    expected = make(places())

    number, folder = start, places()
    while killed_at(number, folder):
        assert_whole(folder, {expected, None})
        assert_rebuilt(folder, expected)
        number, folder = number + 15, places()
    assert number > 150


def killed_at(number: int, folder: Path) -> bool:
    """Build in a process that dies at its n-th call; tell whether it came so far."""
    child = os.fork()
    if child == 0:
        try:
            with IoFaults(number, signal.SIGKILL):
                make(folder)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


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

    assert blobs.os is os
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
