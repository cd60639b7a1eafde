"""A session that is killed, or that the system fails, at any of its calls: the images stay as they were."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.contracts import APP, OTHER, make_image, one_file
from harness.fakes.stores import MemoryLayerStore
from harness.faults.forks import ending_here, fork
from kubeimage.cache import CacheRecords, DirectoryBuildCache
from kubeimage.errors import StoreAccessError, StoreFullError
from kubeimage.image.config import Image
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.store import Store, cache_folder

OpenStore = Callable[[], Store]
Interrupt = Callable[[str, Callable[[], object]], object]
"""Is given the name of a call and the call itself, and does it, or not."""

CALLS = ("chmod", "close", "fsync", "mkdir", "open", "rename", "replace", "rmdir", "unlink", "utime", "write")
KEY = CacheKey(None, (("kind", "COPY"), ("source", "a")))
OLD = make_image(cmd="old")
NEW = make_image([MemoryLayerStore().put(one_file(content)) for content in (b"one", b"two")], cmd="new")


def build(store: Store) -> Image:
    """Do all that a build does: two layers, one of them cached and unpacked, and an image in the place of another."""
    layers = [store.layers.put(one_file(content)) for content in (b"one", b"two")]
    cache = DirectoryBuildCache(CacheRecords(cache_folder(store.root)), store.layers)
    if cache.lookup(KEY) is None:
        cache.record(KEY, CachedStep(layers[0]))
    store.snapshots.path(layers[0].diff_id)
    image = make_image(layers, cmd="new")
    store.images.put(image, [APP])
    return image


def prune(store: Store) -> None:
    store.images.remove(APP)
    store.collect_garbage(keep_cache=False)


@contextmanager
def intercepted(interrupt: Interrupt) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, _intercept(name, getattr(os, name), interrupt))
        yield


def _intercept(name: str, function: Callable[..., object], interrupt: Interrupt) -> Callable[..., object]:
    return lambda *arguments, **named: interrupt(name, lambda: function(*arguments, **named))


class Killer:
    """Kills the process in place of its n-th call."""

    def __init__(self, last: int) -> None:
        self.left = last

    def __call__(self, _: str, call: Callable[[], object]) -> object:
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return call()


class Failure:
    """Lets the n-th call fail, or with ``lasting`` all from there on."""

    def __init__(self, number: int, code: int, *, lasting: bool = False) -> None:
        self.left = number
        self.code = code
        self.lasting = lasting
        self.failed = ""

    def __call__(self, name: str, call: Callable[[], object]) -> object:
        # A close always frees the descriptor, so letting it fail would only leak one.
        if name != "close":
            self.left -= 1
            if self.left == -1 or (self.lasting and self.left < 0 and name not in ("unlink", "rmdir")):
                self.failed = name
                raise OSError(self.code, os.strerror(self.code), name)
        return call()


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do ``work`` in a process that dies at its n-th call; tell whether it came so far."""
    child = fork()
    if child == 0:
        with ending_here(), intercepted(Killer(number)):
            work()
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def names(root: str) -> list[str]:
    return [str(path.relative_to(root)) for path in Path(root).rglob("*") if "ingest" in path.parts[-2:-1]]


def assert_whole(open_store: OpenStore, allowed: list[Image | None]) -> None:
    with open_store() as store:
        assert [finding for finding in store.check() if finding.damage] == []
        assert store.images.get(APP) in allowed
        assert store.images.get(OTHER) == OLD


@pytest.mark.parametrize("start", range(2))
def test_a_build_killed_anywhere_leaves_the_old_image_or_the_new(root: str, open_store: OpenStore, start: int) -> None:
    with open_store() as store:
        store.images.put(OLD, [APP, OTHER])

    def work() -> None:
        with open_store() as store:
            build(store)

    number = start
    while killed_at(number, work):
        number += 5
        assert_whole(open_store, [OLD, NEW])
        with open_store() as store:
            assert build(store) == NEW
            store.images.put(OLD, [APP])
        with open_store() as store:
            store.collect_garbage(keep_cache=False)
            assert store.check() == []
    assert number > 50
    assert names(root) == []


def test_making_a_store_can_be_killed_anywhere(root: str, open_store: OpenStore) -> None:
    number = 0
    while killed_at(number, lambda: open_store().close()):
        number += 1
        with open_store() as store:
            assert not any(finding.damage for finding in store.check())
            assert store.images.records() == []
        for path in sorted(Path(root).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        Path(root).rmdir()
    assert number > 10


def test_prune_killed_anywhere_leaves_a_whole_store(root: str, open_store: OpenStore) -> None:
    def work() -> None:
        with open_store() as store:
            prune(store)

    number = 0
    while True:
        with open_store() as store:
            store.images.put(OLD, [OTHER])
            build(store)
        if not killed_at(number, work):
            break
        number += 5
        assert_whole(open_store, [NEW, None])
    assert number > 20


@pytest.mark.parametrize(("code", "start"), [(errno.ENOSPC, 0), (errno.EIO, 1), (errno.EDQUOT, 2)])
def test_a_build_that_the_system_fails_anywhere_says_so(
    root: str, open_store: OpenStore, code: int, start: int
) -> None:
    with open_store() as store:
        store.images.put(OLD, [APP, OTHER])
    expected = StoreAccessError if code == errno.EIO else StoreFullError

    number, errors = start, 0
    while True:
        failure = Failure(number, code)
        failed = False
        try:
            with intercepted(failure), open_store() as store:
                build(store)
        except expected:
            failed = True
        if failure.left >= 0:
            break
        number += 4
        errors += failed
        # Only a disk that cannot say whether it has the new list can make an error of what is done.
        doubtful = failed and failure.failed == "fsync"
        assert_whole(open_store, [OLD, NEW] if doubtful else [OLD] if failed else [NEW])
        with open_store() as store:
            assert build(store) == NEW
            store.images.put(OLD, [APP])
        with open_store() as store:
            store.collect_garbage(keep_cache=False)
            assert store.check() == []
    assert errors > 10
    assert names(root) == []


def test_a_disk_that_stays_full_leaves_the_old_image(root: str, open_store: OpenStore) -> None:
    with open_store() as store:
        store.images.put(OLD, [APP, OTHER])

    for number in range(0, 20, 3):
        with (
            pytest.raises(StoreFullError, match="No space left on device"),
            intercepted(Failure(number, errno.ENOSPC, lasting=True)),
            open_store() as store,
        ):
            build(store)
        assert_whole(open_store, [OLD])
        assert names(root) == []


def test_a_kill_between_layers_and_image_costs_nothing_but_a_look(
    root: str, open_store: OpenStore, in_a_killed_child: Callable[[Callable[[], object]], None]
) -> None:
    """A layer that took long to make outlives its build, and the cache leads to it."""

    def work() -> None:
        store = open_store()
        cache = DirectoryBuildCache(CacheRecords(cache_folder(root)), store.layers)
        cache.record(KEY, CachedStep(store.layers.put(one_file(b"took an hour"))))

    in_a_killed_child(work)

    with open_store() as store:
        cache = DirectoryBuildCache(CacheRecords(cache_folder(root)), store.layers)
        assert cache.lookup(KEY) is not None
