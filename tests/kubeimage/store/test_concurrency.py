"""Several processes on one store at once: nothing is lost, and nobody waits for the dead."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.contracts import APP, make_image, one_file
from kubeimage.cache import CacheRecords
from kubeimage.disk import flock
from kubeimage.errors import ImageNotFoundError
from kubeimage.image.reference import Reference
from kubeimage.store import Store, cache_folder, index, locks
from kubeimage.store.census import Census
from kubeimage.store.indexcheck import IndexCheck
from kubeimage.store.layout import Layout

# Under xdist the process has threads that a child does without.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

OpenStore = Callable[[], Store]


def start(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def in_parallel(*works: Callable[[], object]) -> None:
    children = [start(work) for work in works]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(works)


def builder(open_store: OpenStore, number: int, rounds: int) -> Callable[[], None]:
    """Build images that share a layer with all others, name them, and give one name that all want."""

    def work() -> None:
        for count in range(rounds):
            with open_store() as store:
                shared = store.layers.put(one_file(b"shared"))
                own = store.layers.put(one_file(f"{number} {count}".encode()))
                names = [Reference.parse(f"image-{number}:{count}"), APP]
                store.images.put(make_image([shared, own], cmd=f"{number} {count}"), names)

    return work


def test_images_that_are_put_at_once_are_all_recorded(open_store: OpenStore) -> None:
    in_parallel(*(builder(open_store, number, 5) for number in range(6)))

    with open_store() as store:
        names = {str(record.reference and record.reference.familiar()) for record in store.images.records()}
        assert names == {f"image-{number}:{count}" for number in range(6) for count in range(5)} | {"app:v1"}
        assert store.check() == []


def test_names_that_are_given_at_once_are_all_recorded(open_store: OpenStore) -> None:
    with open_store() as store:
        store.images.put(make_image(), [APP])

    def tagger(number: int) -> Callable[[], None]:
        def work() -> None:
            with open_store() as store:
                for count in range(10):
                    store.images.tag(APP, Reference.parse(f"tag-{number}:{count}"))

        return work

    in_parallel(*(tagger(number) for number in range(4)))

    with open_store() as store:
        assert len(store.images.records()) == 41


def test_builds_survive_prune_and_rmi_beside_them(open_store: OpenStore) -> None:
    def pruner() -> None:
        for _ in range(15):
            with open_store() as store:
                store.collect_garbage(keep_cache=False)

    def remover() -> None:
        for _ in range(15):
            with open_store() as store:
                try:
                    store.images.remove(APP)
                except ImageNotFoundError:
                    time.sleep(0.001)

    in_parallel(pruner, remover, *(builder(open_store, number, 8) for number in range(3)))

    with open_store() as store:
        for number in range(3):
            for count in range(8):
                assert store.images.get(Reference.parse(f"image-{number}:{count}")) is not None
        assert [finding for finding in store.check() if finding.damage] == []


def test_a_store_that_several_make_at_once_is_one_store(open_store: OpenStore) -> None:
    in_parallel(*(builder(open_store, number, 1) for number in range(6)))

    with open_store() as store:
        assert len(store.images.records()) == 7
        assert store.check() == []


def test_one_snapshot_is_made_by_several_at_once(root: str, open_store: OpenStore) -> None:
    with open_store() as store:
        layer = store.layers.put(one_file(b"1"))
        store.images.put(make_image([layer]), [APP])

        def work() -> None:
            with open_store() as other:
                assert Path(other.snapshots.path(layer.diff_id), "file").read_bytes() == b"1"

        in_parallel(*[work] * 4)
        assert store.check() == []
    assert os.listdir(Path(root, "ingest")) == []


@pytest.mark.parametrize("name", ["gc_lock", "index_lock"])
def test_the_lock_of_a_dead_process_blocks_nobody(root: str, open_store: OpenStore, name: str) -> None:
    open_store().close()
    ready, say = os.pipe()

    def work() -> None:
        with locks.exclusive(getattr(Layout(root), name)):
            os.write(say, b"1")
            signal.pause()

    child = start(work)
    os.read(ready, 1)
    os.close(ready)
    os.close(say)
    os.kill(child, signal.SIGKILL)

    with open_store() as store:
        store.images.put(make_image(), [APP])
        store.collect_garbage()
    os.waitpid(child, 0)


@pytest.mark.parametrize(
    "held",
    [
        pytest.param(lambda root: locks.shared(Layout(root).gc_lock), id="publishes"),
        pytest.param(lambda root: CacheRecords(cache_folder(root)).locked(), id="records"),
    ],
)
def test_garbage_collection_waits_for_who(
    root: str, open_store: OpenStore, held: Callable[[str], AbstractContextManager[None]]
) -> None:
    """Between renaming a blob into place and writing it into the lease there is no moment to lose it in."""
    open_store().close()
    said, say = os.pipe()

    def collect() -> None:
        with open_store() as store:
            store.collect_garbage(keep_cache=False)
        os.write(say, b"collected")

    with held(root):
        child = start(collect)
        os.set_blocking(said, False)
        time.sleep(0.05)
        with pytest.raises(BlockingIOError):
            os.read(said, 9)
    os.waitpid(child, 0)
    assert os.read(said, 9) == b"collected"
    os.close(said)
    os.close(say)


def test_a_name_that_moves_while_it_is_looked_up_is_looked_up_again(
    store: Store, another: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading the index and the image's blobs another build may take the name, and prune the blobs."""
    old, new = make_image(cmd="old"), make_image(cmd="new")
    another.images.put(old, [APP])
    another.close()
    read = index.read_entries

    def read_and_lose(layout: Layout) -> index.Entries:
        entries = read(layout)
        monkeypatch.undo()
        another.images.put(new, [APP])
        another.collect_garbage(keep_cache=False)
        return entries

    monkeypatch.setattr(index, "read_entries", read_and_lose)

    assert store.images.get(APP) == new


def test_a_check_holds_what_it_has_listed(store: Store, another: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that comes while the check begins and goes before it is hashed is no damage."""
    read, hash_blobs = IndexCheck.read, Census.hash_blobs

    def put_and_read(self: IndexCheck) -> object:
        another.images.put(make_image(cmd="comes"), [APP])
        another.close()
        return read(self)

    def remove_and_hash_blobs(self: Census) -> None:
        another.images.remove(APP)
        hash_blobs(self)

    monkeypatch.setattr(IndexCheck, "read", put_and_read)
    monkeypatch.setattr(Census, "hash_blobs", remove_and_hash_blobs)

    assert [finding for finding in store.check() if finding.damage] == []


def test_who_wants_to_collect_garbage_is_not_overtaken(root: str, open_store: OpenStore) -> None:
    """The kernel would give a lock that is shared to all who want to share it, and let the other one wait for ever."""
    open_store().close()
    layout = Layout(root)
    said, say = os.pipe()

    def collect() -> None:
        with locks.alone(layout.gc_lock):
            os.write(say, b"collects ")

    def build() -> None:
        with locks.shared(layout.gc_lock):
            os.write(say, b"builds ")

    with locks.shared(layout.gc_lock):
        children = [start(collect)]
        wait_until_held(os.path.join(root, "gc.turn"))
        children.append(start(build))
        time.sleep(0.1)
    for child in children:
        os.waitpid(child, 0)

    assert os.read(said, 100) == b"collects builds "
    os.close(said)
    os.close(say)


def wait_until_held(path: str) -> None:
    free = True
    while free:
        descriptor = os.open(path, os.O_RDWR)
        free = flock.try_exclusive(descriptor)
        os.close(descriptor)
