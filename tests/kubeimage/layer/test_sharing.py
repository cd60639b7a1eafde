"""A layer written by several processes: the bytes of one, and its errors, whatever happens to a worker.

Forking is for processes with one thread, and pytest has several: so all this happens in a child of its own.
"""

import errno
import io
import os
import pickle
import resource
import select
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.faults.forks import ending_here, fork
from kubeimage.errors import ContextChangedError, KubeimageError
from kubeimage.layer import sharing, workers
from kubeimage.layer.entry import Entry, Kind, canonical_order, directory, file, identity_of
from kubeimage.layer.stored import StoredLayer
from kubeimage.layer.writer import add_file, write_layer
from tests.properties.examples import examples

SIZES = [0, 1, 511, 512, 513, 1023, 1024, 1025, 70_000, (1 << 18) + 1]
NAMES = ["a", "b.yaml", "é", "n" * 101, "p" * 60, "q" * 90]


class Blob:
    """A new file, as a store has it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def apart(work: Callable[[], object]) -> Any:
    """Return what ``work`` returns in a process with one thread; raise what it raises."""
    ear, mouth = os.pipe()
    if (child := fork()) == 0:
        with ending_here():
            os.close(ear)
            try:
                answer = (True, work())
            except (KubeimageError, OSError, ValueError) as error:
                answer = (False, (type(error), str(error)))
            with open(mouth, "wb") as stream:
                pickle.dump(answer, stream)
    os.close(mouth)
    with open(ear, "rb") as stream:
        told = stream.read()
    os.waitpid(child, 0)
    return pickle.loads(told)


@contextmanager
def small_ranges() -> Iterator[None]:
    """Cut a small changeset into many ranges, and have two workers for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(workers.VARIABLE, "2")
        patch.setattr(sharing, "_SMALLEST_RANGE", 2048)
        yield


def share(entries: list[Entry], folder: Path) -> tuple[StoredLayer, bytes]:
    with small_ranges():
        plan = sharing.plan(entries)
        assert plan is not None
        path = folder / f"tar{time.monotonic_ns()}"
        return plan.write(Blob(path), lambda _: None), path.read_bytes()


def alone(entries: list[Entry]) -> tuple[StoredLayer, bytes]:
    tar = io.BytesIO()
    return write_layer(entries, tar.write), tar.getvalue()


def sources(folder: Path, count: int = 40, size: int = 700) -> list[Entry]:
    """Files on a disk, as a collector finds them."""
    entries = []
    for number in range(count):
        path = folder / f"f{number:02}"
        path.write_bytes(bytes([number]) * (size + number))
        status = path.stat()
        entry = Entry(path.name, Kind.FILE, size=status.st_size, source=str(path), identity=identity_of(status))
        entries.append(entry)
    return entries


@st.composite
def changesets(draw: st.DrawFn) -> list[Entry]:
    """Files of sizes around a block's, links of both kinds, and names and numbers that take a PAX header."""
    folders = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=4))
    entries = [directory(name) for name in folders]
    for folder in folders:
        for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5)):
            size = draw(st.sampled_from(SIZES))
            made = file(f"{folder}/{name}", draw(st.binary(min_size=1, max_size=3)) * size)
            times = draw(st.sampled_from([0, 1, -1, 8**11]))
            entries.append(made._replace(mtime=times, owner=draw(st.sampled_from([(0, 0), (8**7, 1)]))))
    files = [entry.path for entry in entries if entry.kind is Kind.FILE]
    is_linked = draw(st.booleans())
    if files and is_linked:
        entries.append(Entry("ø link", Kind.HARDLINK, target=draw(st.sampled_from(files))))
        entries.append(Entry("ø symlink", Kind.SYMLINK, target="t" * draw(st.sampled_from([1, 100, 101]))))
    return canonical_order(entries)


def test_files_of_a_disk_are_read_by_the_workers(tmp_path: Path) -> None:
    entries = sources(tmp_path)

    assert apart(lambda: share(entries, tmp_path)) == (True, alone(entries))


@pytest.mark.parametrize("victim", [0, 17, 39])
def test_a_file_that_changed_is_told_as_by_one_process(tmp_path: Path, victim: int) -> None:
    entries = sources(tmp_path)
    (tmp_path / f"f{victim:02}").write_bytes(b"longer than it was" * 100)
    (tmp_path / "f39").unlink()

    with pytest.raises(ContextChangedError) as told:
        alone(entries)

    assert apart(lambda: share(entries, tmp_path)) == (False, (ContextChangedError, str(told.value)))


@pytest.mark.parametrize("victims", [{"f00"}, {"f05", "f30"}, {f"f{number:02}" for number in range(40)}])
@pytest.mark.parametrize("late", [False, True])
def test_what_a_killed_worker_leaves_its_parent_does(tmp_path: Path, victims: set[str], late: bool) -> None:
    entries = sources(tmp_path)

    def work() -> object:
        parent = os.getpid()

        def add(entry: Entry, output: Any, _opened: object = None) -> bytes:
            digest = add_file(entry, output) if late else b""
            if entry.path in victims and os.getpid() != parent:
                os.kill(os.getpid(), signal.SIGKILL)
            return digest or add_file(entry, output)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sharing, "add_file", add)
            return share(entries, tmp_path)

    assert apart(work) == (True, alone(entries))


def test_without_a_process_to_be_had_the_parent_does_all(tmp_path: Path) -> None:
    entries = sources(tmp_path)

    def work() -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fork", refuse)
            return share(entries, tmp_path)

    assert apart(work) == (True, alone(entries))


def refuse() -> int:
    raise BlockingIOError(errno.EAGAIN, "no process is to be had")


def test_a_full_disk_is_told_as_by_one_process(tmp_path: Path) -> None:
    entries = sources(tmp_path)

    def work() -> object:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        return share(entries, tmp_path)

    assert apart(work) == (False, (OSError, str(OSError(errno.EFBIG, os.strerror(errno.EFBIG)))))


def test_an_interrupt_leaves_no_process(tmp_path: Path) -> None:
    """The workers are asleep when it comes, so that nobody has ended by chance."""
    entries = sources(tmp_path)

    def work() -> object:
        parent = os.getpid()

        def sleep(*_: object) -> bytes:
            if os.getpid() != parent:
                # One of them does: a second interrupt would come while the parent looks for what is left.
                with suppress(FileExistsError):
                    Path(tmp_path, "interrupted").touch(exist_ok=False)
                    os.kill(parent, signal.SIGINT)
                time.sleep(60)
            return b""

        signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(sharing, "add_file", sleep)
            share(entries, tmp_path)
            return "not interrupted"
        with suppress(ChildProcessError):
            return os.waitpid(-1, 0)
        return "no child is left"

    assert apart(work) == (True, "no child is left")


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """They hold the end of a pipe that is closed when the last of them is gone."""
    entries = sources(tmp_path)
    ear, mouth = os.pipe()

    def work() -> object:
        parent = os.getpid()

        def sleep(*_: object) -> bytes:
            if os.getpid() != parent:
                os.kill(parent, signal.SIGKILL)
                time.sleep(60)
            return b""

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sharing, "add_file", sleep)
            return share(entries, tmp_path)

    if (child := fork()) == 0:
        os.close(ear)
        with ending_here(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(workers, "_close_all_but", lambda _: None)
            work()
    os.close(mouth)
    _, status = os.waitpid(child, 0)

    assert select.select([ear], [], [], 20)[0]
    assert os.WTERMSIG(status) == signal.SIGKILL
    os.close(ear)


def test_no_workers_where_threads_are_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(workers.VARIABLE, "2")
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert workers.available() == 0
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize(("text", "count"), [("0", 0), ("1", 0), ("3", 3)])
def test_the_environment_says_how_many(text: str, count: int) -> None:
    def work() -> object:
        os.environ[workers.VARIABLE] = text
        return workers.available()

    assert apart(work) == (True, count)


def test_few_files_and_large_ones_are_left_to_one_process(tmp_path: Path) -> None:
    many = [file(f"{number:05}", b"") for number in range(2000)]
    large = file("f", b"")._replace(size=1 << 30)

    def work() -> object:
        os.environ.pop(workers.VARIABLE, None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
            return [sharing.plan(entries) is not None for entries in (many, many[:20], [*many, large])]

    assert apart(work) == (True, [True, False, False])


def test_what_no_layer_may_hold_is_told_as_by_one_process(tmp_path: Path) -> None:
    bad = [file("a", b"")._replace(source=None, size=1), file("b/../c", b""), directory("d/..")]

    def work() -> object:
        with small_ranges():
            return sharing.plan([bad[2]]), sharing.plan([bad[1], bad[0]])

    assert apart(work) == (True, (None, None))
    for entries in (bad[:1], bad[:2]):
        with pytest.raises(ValueError, match="has no content of 1 bytes") as told:
            alone(entries)
        assert apart(lambda: share(entries, tmp_path)) == (False, (ValueError, str(told.value)))  # noqa: B023 - done at once


@examples(0.4)
@given(changesets())
def test_the_bytes_are_those_of_one_process(entries: list[Entry]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        done, found = apart(lambda: share(entries, Path(folder)))

    assert done, found
    assert found == alone(entries)
