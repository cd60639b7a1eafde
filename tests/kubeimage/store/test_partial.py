"""What was fetched of a blob is there for who fetches it next, whoever that is, and is trusted by nobody."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.errors import BlobCorruptError, RegistryConnectionError, StoreFullError
from kubeimage.image.digest import Digest
from kubeimage.store import Store
from kubeimage.store.layout import Layout
from kubeimage.store.partial import LEAST, claim, iter_partials, keep, keep_all, unfinished_path
from kubeimage.store.session import LEASE
from tests.properties.examples import examples

BLOB = os.urandom(4 * LEAST)
DIGEST = Digest.of(BLOB)


class Chunks:
    """A blob in pieces, which fails at an offset; ``asked`` says from where on it was asked for."""

    def __init__(self, data: bytes, fails_at: int | None = None, error: BaseException | None = None) -> None:
        self.asked = 0
        self._data = data
        self._fails_at = fails_at
        self._error = error or RegistryConnectionError("cut")

    def start_at(self, offset: int) -> None:
        self.asked = offset

    def __iter__(self) -> Iterator[bytes]:
        end = len(self._data) if self._fails_at is None else self._fails_at
        for begin in range(self.asked, end, 10_000):
            yield self._data[begin : min(begin + 10_000, end)]
        if self._fails_at is not None:
            raise self._error


def put(store: Store, chunks: Chunks) -> None:
    store.shelf.put(DIGEST, len(BLOB), chunks)


def partials(root: str) -> list[str]:
    return [os.path.basename(path) for path in iter_partials(Layout(root))]


@pytest.mark.parametrize("error", [RegistryConnectionError("cut"), KeyboardInterrupt()], ids=["cut", "Ctrl-C"])
def test_what_came_of_a_blob_need_not_come_again(root: str, store: Store, error: BaseException) -> None:
    with pytest.raises(type(error)):
        put(store, Chunks(BLOB, 3 * LEAST, error))
    assert partials(root) == [DIGEST.hex]
    store.close()

    again = Chunks(BLOB)
    with Store.open(root) as other:
        put(other, again)
        assert other.shelf.has(DIGEST, len(BLOB))

    assert again.asked == 3 * LEAST
    assert Path(root, "blobs/sha256", DIGEST.hex).read_bytes() == BLOB
    assert partials(root) == []
    assert sorted(os.listdir(Path(root, "ingest"))) == ["partial"]


@examples(0.25)
@given(st.lists(st.integers(0, len(BLOB)), max_size=4))
def test_wherever_it_is_cut_and_however_often_the_blob_is_whole_in_the_end(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    root = str(tmp_path_factory.mktemp("cuts") / "store")
    reached = 0
    for cut in cuts:
        chunks = Chunks(BLOB, max(cut, reached))
        with Store.open(root) as store, pytest.raises(RegistryConnectionError):
            put(store, chunks)
        assert chunks.asked == (reached if reached >= LEAST else 0)
        reached = max(cut, reached if reached >= LEAST else 0)

    with Store.open(root) as store:
        put(store, Chunks(BLOB))

    assert Path(root, "blobs/sha256", DIGEST.hex).read_bytes() == BLOB


def test_a_beginning_that_is_not_the_blob_s_is_dropped(root: str, store: Store) -> None:
    wrong = bytes(byte ^ 1 for byte in BLOB)
    with pytest.raises(RegistryConnectionError):
        put(store, Chunks(wrong, 2 * LEAST))

    with pytest.raises(BlobCorruptError):
        put(store, Chunks(BLOB))
    assert partials(root) == []
    fresh = Chunks(BLOB)
    put(store, fresh)

    assert fresh.asked == 0


@pytest.mark.parametrize("size", [LEAST - 1, len(BLOB) + 1])
def test_too_little_or_too_much_is_no_beginning(size: int, root: str, store: Store) -> None:
    path = Path(root, "ingest/partial", DIGEST.hex)
    path.parent.mkdir()
    path.write_bytes(bytes(size))

    chunks = Chunks(BLOB)
    put(store, chunks)

    assert chunks.asked == 0
    assert partials(root) == []


def test_a_full_disk_keeps_nothing(root: str, store: Store) -> None:
    with pytest.raises(StoreFullError):
        put(store, Chunks(BLOB, 3 * LEAST, StoreFullError("full")))

    assert partials(root) == []


def test_what_a_killed_process_had_is_kept_and_its_folder_goes(root: str, store: Store) -> None:
    dead = Path(root, "ingest/0123456789abcdef")
    dead.mkdir()
    (dead / LEASE).touch()
    Path(unfinished_path(str(dead / "1"), DIGEST)).write_bytes(BLOB[: 2 * LEAST])
    (dead / "2").write_bytes(BLOB)

    with Store.open(root) as other:
        other.layers.put([])
        assert not dead.exists()
        assert partials(root) == [DIGEST.hex]
        chunks = Chunks(BLOB)
        put(other, chunks)

    assert chunks.asked == 2 * LEAST


def test_the_longer_beginning_stays_and_a_claim_is_one_process_s_alone(root: str, store: Store, tmp_path: Path) -> None:
    layout = Layout(root)
    for size in (2 * LEAST, 3 * LEAST, LEAST):
        path = tmp_path / str(size)
        path.write_bytes(BLOB[:size])
        keep(layout, DIGEST, str(path))

    first = claim(layout, DIGEST, len(BLOB), str(tmp_path / "mine"))
    second = claim(layout, DIGEST, len(BLOB), str(tmp_path / "theirs"))

    assert (first, second) == (3 * LEAST, 0)
    keep_all(layout, str(tmp_path / "not there"))


def test_prune_and_time_remove_what_nobody_goes_on_with(root: str, store: Store) -> None:
    for _ in range(2):
        with pytest.raises(RegistryConnectionError):
            put(store, Chunks(BLOB, 2 * LEAST))
    (path,) = iter_partials(Layout(root))
    store.close()
    os.utime(path, (1, 1))
    with Store.open(root) as other:
        other.layers.put([])
    assert partials(root) == []

    with Store.open(root) as other:
        with pytest.raises(RegistryConnectionError):
            put(other, Chunks(BLOB, 2 * LEAST))
        report = other.collect_garbage()

    assert report.size_of("leftover") == 2 * LEAST
    assert partials(root) == []
