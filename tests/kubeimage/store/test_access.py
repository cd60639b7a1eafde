"""Stores that cannot be written, disks that are full, limits that are reached: one clear error, the store as before."""

import errno
import itertools
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.contracts import APP, OTHER, make_image, one_file
from kubeimage.cache import CacheRecords, DirectoryBuildCache
from kubeimage.disk import flock
from kubeimage.errors import KubeimageError, StoreAccessError, StoreFullError
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.store import Store, cache_folder, locks, reserve
from kubeimage.store.layout import Layout
from tests.kubeimage.store.conftest import as_nobody

# Under xdist the process has threads that a child does without.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

OpenStore = Callable[[], Store]
IMAGE = make_image()
KEY = CacheKey(None, (("kind", "RUN"), ("command", "make")))


def in_a_child(work: Callable[[], object]) -> None:
    """Do something in another process, for what it does to itself cannot be undone."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def read_only(open_path: Path) -> Iterator[str]:
    """The root of a store with an image, in which nobody but root can write."""
    root = open_path / "store"
    with Store.open(str(root)) as store:
        store.images.put(make_image([store.layers.put(one_file(b"1"))]), [APP])
    folders = {path: path.stat().st_mode for path in (root, *root.rglob("*")) if path.is_dir()}
    for folder, mode in folders.items():
        folder.chmod(mode & 0o555 | 0o055)
    yield str(root)
    for folder in folders:
        folder.chmod(0o755)


def test_a_store_that_cannot_be_written_can_be_read(read_only: str) -> None:
    with as_nobody(), Store.open(read_only) as store:
        image = store.images.get(APP)
        assert image is not None
        assert store.layers.has(image.layers[0].diff_id)
        assert [entry.path for entry in store.layers.entries(image.layers[0].diff_id)] == ["file"]
        assert [one.what for one in store.check() if one.damage] == []
        assert store.collect_garbage(dry_run=True).items == ()


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda store: store.layers.put(one_file(b"2")), id="layer"),
        pytest.param(lambda store: store.images.put(IMAGE, [OTHER]), id="image"),
        pytest.param(lambda store: store.images.tag(APP, OTHER), id="tag"),
        pytest.param(lambda store: store.images.remove(APP), id="remove"),
        pytest.param(lambda store: store.collect_garbage(), id="prune"),
        pytest.param(lambda store: store.check(repair=True), id="repair"),
    ],
)
def test_a_store_that_cannot_be_written_says_so(read_only: str, write: Callable[[Store], object]) -> None:
    with as_nobody(), Store.open(read_only) as store:
        with pytest.raises(StoreAccessError, match="Permission denied") as caught:
            write(store)
        assert caught.value.hint == "use --root or KUBEIMAGE_ROOT to name a folder you can write to"

    with Store.open(read_only, create=False) as store:
        assert [record.reference for record in store.images.records()] == [APP]


def test_a_reader_keeps_garbage_collection_waiting_even_where_it_cannot_write(read_only: str) -> None:
    if os.geteuid():
        pytest.skip("only root can be two users")
    with as_nobody(), locks.shared(Layout(read_only).gc_lock):
        os.seteuid(0)
        descriptor = os.open(Layout(read_only).gc_lock, os.O_RDWR)
        assert not flock.try_exclusive(descriptor)
        os.close(descriptor)


def test_a_store_that_cannot_be_made_says_where(open_path: Path) -> None:
    closed = open_path / "closed"
    closed.mkdir(mode=0o555)

    with as_nobody(), pytest.raises(StoreAccessError, match=f"{closed}/store"):
        Store.open(str(closed / "store"))


def test_a_store_that_cannot_be_entered_says_so(open_path: Path) -> None:
    closed = open_path / "closed"
    Store.open(str(closed / "store")).close()
    closed.chmod(0)
    try:
        with as_nobody(), pytest.raises(StoreAccessError, match="Permission denied"):
            Store.open(str(closed / "store"))
    finally:
        closed.chmod(0o755)


def test_a_file_size_limit_is_a_full_store(root: str) -> None:
    with Store.open(root) as store:
        store.images.put(IMAGE, [APP])

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        with Store.open(root) as store, pytest.raises(StoreFullError, match="File too large"):
            store.layers.put(one_file(b"x" * 3_000_000))

    in_a_child(work)

    with Store.open(root) as store:
        assert store.check() == []
        assert store.images.get(APP) == IMAGE


def test_a_limit_of_open_files_is_named(root: str) -> None:
    with Store.open(root) as store:
        layer = store.layers.put(one_file(b"1"))

        def work() -> None:
            held = []
            soft = len(os.listdir("/proc/self/fd")) + 20
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))
            with suppress(OSError):
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            for ask in (lambda: store.layers.put(one_file(b"2")), lambda: store.layers.open(layer.diff_id)):
                with pytest.raises(StoreAccessError, match="Too many open files") as caught:
                    ask()
                assert "ulimit -n" in (caught.value.hint or "")

        in_a_child(work)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=60", "tmpfs", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {made.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.fixture
def own(open_path: Path) -> Iterator[Path]:
    """The root of a store of an ordinary user's, with an image and a build cache, both with layers."""
    root = open_path / "own"
    open_path.chmod(0o777)
    with as_nobody(), Store.open(str(root)) as store:
        layers = [store.layers.put(one_file(content)) for content in (b"1", b"2")]
        store.images.put(make_image(layers[:1]), [APP])
        DirectoryBuildCache(CacheRecords(cache_folder(str(root))), store.layers).record(KEY, CachedStep(layers[1]))
    yield root
    for folder in [path for path in (root, *root.rglob("*")) if path.is_dir()]:
        folder.chmod(0o755)


def blobs_in(root: Path) -> set[str]:
    return set(os.listdir(root / "blobs/sha256"))


@pytest.mark.parametrize(
    ("closed", "keep_cache"),
    [*itertools.product(["", "blobs", "blobs/sha256", "cache", "ingest"], [True, False]), ("cache/keys", True)],
)
def test_prune_never_takes_a_folder_that_it_cannot_read_for_an_empty_one(
    own: Path, closed: str, keep_cache: bool
) -> None:
    before = blobs_in(own)
    (own / closed).chmod(0)

    with as_nobody(), pytest.raises(StoreAccessError, match="Permission denied"):
        prune(str(own), keep_cache=keep_cache)

    (own / closed).chmod(0o755)
    assert blobs_in(own) == before


def prune(root: str, *, keep_cache: bool) -> None:
    with Store.open(root, create=False, cache=CacheRecords(cache_folder(root))) as store:
        store.collect_garbage(keep_cache=keep_cache)


def test_a_cache_that_cannot_be_read_is_found(own: Path) -> None:
    (own / "cache/keys").chmod(0)

    with as_nobody(), Store.open(str(own), create=False, cache=CacheRecords(cache_folder(str(own)))) as store:
        assert "the build cache cannot be read: Permission denied" in [one.what for one in store.check() if one.damage]


def test_a_name_goes_even_where_its_blobs_cannot(own: Path) -> None:
    """They are garbage then, and prune says why they stay."""
    before = blobs_in(own)
    (own / "blobs/sha256").chmod(0o555)

    with as_nobody(), Store.open(str(own), create=False) as store:
        assert store.images.remove(APP) == []
        assert store.images.records() == []

    assert blobs_in(own) == before


@pytest.mark.needs("mount", "umount")
def test_a_full_disk_is_named_and_leaves_the_store_as_it_was(small_disk: Path) -> None:
    root = str(small_disk / "store")
    with Store.open(root) as store:
        store.images.put(IMAGE, [APP])
    before = sorted(small_disk.rglob("*"))

    with Store.open(root) as store, pytest.raises(StoreFullError, match="No space left on device") as caught:
        store.layers.put(one_file(b"x" * 2_000_000))

    assert "MiB and" in (caught.value.hint or "")
    assert sorted(small_disk.rglob("*")) == before
    with Store.open(root) as store:
        assert store.check() == []


@pytest.mark.needs("mount", "umount")
def test_an_image_can_be_removed_from_a_full_disk_and_gives_its_room_back(small_disk: Path) -> None:
    root = str(small_disk / "store")
    with Store.open(root) as store:
        store.images.put(make_image([store.layers.put(one_file(os.urandom(200_000)))]), [APP])
        store.images.put(make_image([store.layers.put(one_file(b"kept"))]), [OTHER])
    with pytest.raises(OSError, match="No space left"), (small_disk / "filling").open("wb", buffering=0) as filling:
        while filling.write(bytes(4096)):
            pass

    with Store.open(root, create=False) as store:
        gone = store.images.remove(APP)

    assert gone
    assert shutil.disk_usage(small_disk).free > 100_000
    with Store.open(root) as store:
        assert [one.reference for one in store.images.records()] == [OTHER]
        assert store.check() == []
    assert (small_disk / "store/reserve").exists()


@pytest.mark.parametrize("entries", [1, 100_000, 300_000])
def test_the_reserve_has_room_for_the_list_twice_and_for_some_images(root: str, entries: int) -> None:
    with Store.open(root) as store:
        store.images.put(IMAGE, [APP])
        layout = store._layout
    with open(layout.index, "ab") as index:
        index.write(b" " * entries)

    reserve.keep_reserve(layout)

    size = os.path.getsize(layout.reserve)
    assert size == max(128 << 10, 2 * os.path.getsize(layout.index))


def test_without_room_for_a_reserve_nothing_else_is_lost(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, data: bytes, *, durable: bool = True) -> None:
        raise StoreFullError(path)

    monkeypatch.setattr(reserve, "write_new_file", refuse)
    with Store.open(root) as store:
        store.images.put(IMAGE, [APP])
        store.images.remove(APP)

        assert store.check() == []
    assert not os.path.exists(os.path.join(root, "reserve"))


@pytest.mark.needs("mount", "umount")
def test_a_disk_without_inodes_can_be_pruned(small_disk: Path) -> None:
    root = str(small_disk / "store")
    with Store.open(root) as store:
        store.images.put(IMAGE, [APP])
        with pytest.raises(StoreFullError, match="No space left on device"):
            list(map(store.layers.put, (one_file(str(number).encode()) for number in range(100))))
    with pytest.raises(OSError, match="No space left on device"):
        list(map(Path.touch, (small_disk / str(number) for number in range(100))))

    with Store.open(root) as store:
        report = store.collect_garbage()

        assert report.size > 0
        assert store.check() == []
        assert store.images.get(APP) == IMAGE


def test_every_translated_error_says_what_to_do(root: str) -> None:
    from kubeimage.store.failures import store_error

    for code in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EMFILE, errno.EIO):
        error: KubeimageError = store_error(OSError(code, os.strerror(code)), "write", root)
        assert os.strerror(code) in error.message
        assert root in error.message
        assert error.hint
