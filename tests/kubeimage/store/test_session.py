import errno
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from harness.contracts import one_file
from harness.faults.faults import IoFaults, Torn
from kubeimage.disk import flock
from kubeimage.errors import StoreFullError
from kubeimage.image.digest import Digest
from kubeimage.store import Store
from kubeimage.store.layout import Layout
from kubeimage.store.session import LEASE, Session, leftovers, live_leases, remove_leftover

# Under xdist the process has threads that a child does without.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

InAKilledChild = Callable[[Callable[[], object]], None]


def sessions(root: str) -> list[str]:
    return sorted(os.listdir(Path(root, "ingest")))


def test_a_session_leaves_nothing(root: str, store: Store) -> None:
    store.layers.put(one_file(b"1"))
    with store.snapshots.scratch() as folder:
        Path(folder, "x").mkdir()
        assert len(sessions(root)) == 1

    store.close()

    assert sessions(root) == []


def test_a_session_that_is_looked_at_as_it_begins_leaves_nothing(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks holds the lease's lock for a moment."""
    session, answers, lock = Session(Layout(root)), iter([False, False]), flock.try_exclusive
    monkeypatch.setattr(flock, "try_exclusive", lambda lease: next(answers, True) and lock(lease))

    folder = session.folder(sweep=False)

    assert [os.path.join(root, "ingest", name) for name in sessions(root)] == [folder]
    session.close()


def test_threads_that_begin_at_once_share_one_session(root: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one that looks while the first does finds a session that has not begun."""
    both, look, folders = threading.Barrier(2), Layout.is_complete, list[str]()

    def look_together(layout: Layout) -> bool:
        with suppress(threading.BrokenBarrierError):
            both.wait(0.2)
        return look(layout)

    store.close()
    monkeypatch.setattr(Layout, "is_complete", look_together)
    session = Session(Layout(root))
    threads = [threading.Thread(target=lambda: folders.append(session.folder())) for _ in range(2)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(folders) == 2
    assert {os.path.basename(folder) for folder in folders} == set(sessions(root))
    session.close()
    assert sessions(root) == []


def test_what_a_killed_process_left_is_removed_by_the_next_session(
    root: str, in_a_killed_child: InAKilledChild
) -> None:
    def work() -> None:
        session = Session(Layout(root))
        Path(session.folder(), "half-written").write_text("…")

    in_a_killed_child(work)
    assert len(sessions(root)) == 1

    with Store.open(root) as store:
        store.layers.put(one_file(b"2"))
        assert [os.path.join(root, "ingest", name) for name in sessions(root)] == [store._session.folder()]


def test_a_running_session_is_not_taken_for_a_leftover(root: str, store: Store, another: Store) -> None:
    store.layers.put(one_file(b"1"))
    another.layers.put(one_file(b"2"))

    assert leftovers(Layout(root)) == []
    assert len(sessions(root)) == 2


def test_leases_say_what_running_sessions_rely_on(root: str, store: Store, another: Store) -> None:
    one, two = store.layers.put(one_file(b"1")), another.layers.put(one_file(b"2"))

    assert live_leases(Layout(root)) == {one.diff_id, two.diff_id}
    assert live_leases(Layout(root), but=store._session.name) == {two.diff_id}
    another.close()
    assert live_leases(Layout(root)) == {one.diff_id}


def test_a_lease_that_was_half_written_goes_on_whole(root: str, store: Store) -> None:
    """Who tries again after a full disk holds all that it says; and others can read it."""
    store.layers.put(one_file(b"1"))
    session = Session(Layout(root))
    session.folder()
    one, two = Digest.of(b"one"), Digest.of(b"two")
    with IoFaults(0, Torn(errno.ENOSPC), among=frozenset({"write"})), pytest.raises(StoreFullError):
        session.hold(one)

    session.hold(two)
    session.hold(one)

    assert live_leases(Layout(root)) >= {one, two}
    session.close()


def test_the_lease_of_a_dead_process_counts_for_nothing(root: str, in_a_killed_child: InAKilledChild) -> None:
    in_a_killed_child(lambda: Store.open(root).layers.put(one_file(b"1")))

    assert live_leases(Layout(root)) == set()
    assert len(leftovers(Layout(root))) == 1


@pytest.mark.parametrize("content", [[], ["1"]])
def test_a_folder_without_a_lease_is_left_over(root: str, store: Store, content: list[str]) -> None:
    folder = Path(root, "ingest", "0123")
    folder.mkdir()
    for name in content:
        (folder / name).mkdir()

    assert leftovers(Layout(root)) == [str(folder)]
    assert remove_leftover(Layout(root), str(folder))


def test_a_session_that_loses_its_young_folder_makes_another(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may take a folder for a leftover between its making and the locking of its lease."""
    Store.open(root).close()
    make, made = os.mkdir, []

    def mkdir(path: str, mode: int = 0o777) -> None:
        make(path, mode)
        made.append(path)
        if len(made) == 1:
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", mkdir)
    session = Session(Layout(root))

    assert session.folder() == made[1]
    session.close()


def test_a_session_that_begins_while_its_folder_is_looked_at_is_left_alone(
    root: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease comes between the look for one and the removal of what seems to be empty."""
    folder = Path(root, "ingest", "0123")
    folder.mkdir()
    lease = folder / LEASE
    remove = os.rmdir
    held: list[int] = []

    def rmdir(path: str) -> None:
        if not held:
            held.append(os.open(lease, os.O_RDWR | os.O_CREAT))
            assert flock.try_exclusive(held[0])
        remove(path)

    monkeypatch.setattr(os, "rmdir", rmdir)

    assert not remove_leftover(Layout(root), str(folder))
    assert lease.exists()
    os.close(held[0])
    assert remove_leftover(Layout(root), str(folder))


def test_leftovers_that_forbid_it_are_removed_all_the_same(root: str, in_a_killed_child: InAKilledChild) -> None:
    def work() -> None:
        folder = Session(Layout(root)).folder()
        Path(folder, "closed", "inner").mkdir(parents=True)
        Path(folder, "closed", "inner", "file").write_text("…")
        Path(folder, "closed", "inner").chmod(0o500)
        Path(folder, "closed").chmod(0)
        Path(folder, "link").symlink_to(root)

    in_a_killed_child(work)
    with Store.open(root) as store:
        store.layers.put(one_file(b"1"))

    assert sessions(root) == []
    assert os.path.exists(os.path.join(root, "index.json"))


def test_a_sleeping_process_keeps_its_session(root: str, store: Store) -> None:
    """Only death frees a lock: a stopped build may go on tomorrow."""
    ready, say = os.pipe()
    child = os.fork()
    if child == 0:
        Session(Layout(root)).folder()
        os.write(say, b"1")
        signal.pause()
        os._exit(0)
    os.read(ready, 1)
    os.kill(child, signal.SIGSTOP)
    try:
        store.layers.put(one_file(b"1"))
        assert len(sessions(root)) == 2
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(say)
    assert len(leftovers(Layout(root))) == 1


def test_where_locks_do_not_work_nothing_is_left_over(root: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.layers.put(one_file(b"1"))
    monkeypatch.setattr("kubeimage.disk.flock.try_exclusive", lambda _: True)

    assert leftovers(Layout(root)) == []
    assert os.path.exists(os.path.join(store._session.folder(), LEASE))
