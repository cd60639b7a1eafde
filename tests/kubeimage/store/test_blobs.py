import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from harness.contracts import APP, CHANGESET, make_image, one_file
from kubeimage.errors import BlobCorruptError
from kubeimage.image.digest import Digest
from kubeimage.protocols.layers import StoredLayer
from kubeimage.store import Store, blobs
from kubeimage.store.blobs import hash_file

BlobPath = Callable[[Digest], Path]
Flip = Callable[..., None]


@pytest.fixture
def layer(root: str) -> StoredLayer:
    """A layer that an earlier session committed."""
    with Store.open(root) as store:
        return store.layers.put(CHANGESET)


def test_a_committed_blob_is_read_only_and_marked(layer: StoredLayer, blob_path: BlobPath) -> None:
    status = blob_path(layer.diff_id).stat()

    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o444, 0)


def test_a_blob_is_marked_when_its_image_is_committed(root: str, store: Store, blob_path: BlobPath) -> None:
    stored = store.layers.put(CHANGESET)
    assert blob_path(stored.diff_id).stat().st_mtime_ns != 0

    store.images.put(make_image([stored]), [APP])

    assert {path.stat().st_mtime_ns for path in Path(root, "blobs", "sha256").iterdir()} == {0}


def test_a_marked_blob_is_trusted_without_reading_it(
    layer: StoredLayer, store: Store, blob_path: BlobPath, flip: Flip
) -> None:
    flip(blob_path(layer.diff_id), keep_times=True)

    assert store.layers.has(layer.diff_id)


def test_a_changed_byte_is_found(layer: StoredLayer, store: Store, blob_path: BlobPath, flip: Flip) -> None:
    flip(blob_path(layer.diff_id))

    assert not store.layers.has(layer.diff_id)


def test_what_somebody_wrote_to_a_new_blob_gets_no_mark(
    root: str, store: Store, blob_path: BlobPath, flip: Flip
) -> None:
    stored = store.layers.put(CHANGESET)
    assert store.layers.has(stored.diff_id)

    flip(blob_path(stored.diff_id))

    assert not store.layers.has(stored.diff_id)
    store.close()
    assert blob_path(stored.diff_id).stat().st_mtime_ns != 0


def test_a_blob_that_was_only_touched_is_marked_again(layer: StoredLayer, store: Store, blob_path: BlobPath) -> None:
    os.utime(blob_path(layer.diff_id))

    assert store.layers.has(layer.diff_id)
    assert blob_path(layer.diff_id).stat().st_mtime_ns == 0


def test_a_blob_that_was_only_touched_is_left_so_by_who_only_looks(
    root: str, layer: StoredLayer, blob_path: BlobPath
) -> None:
    os.utime(blob_path(layer.diff_id))

    with Store.open(root, create=False) as store:
        assert store.layers.has(layer.diff_id)
        assert blob_path(layer.diff_id).stat().st_mtime_ns != 0


def test_a_blob_is_there_where_a_file_of_its_size_is(
    root: str, layer: StoredLayer, store: Store, blob_path: BlobPath
) -> None:
    other = Digest.of(b"other")

    assert store.has_blob(layer.diff_id, layer.size)
    assert not store.has_blob(layer.diff_id, layer.size + 1)
    assert not store.has_blob(other, 5)
    blob_path(other).mkdir()
    assert not store.has_blob(other, blob_path(other).stat().st_size)


Meanwhile = Callable[..., None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Do something when a blob was read, and before that counts: the first time it is, or ``times`` times."""

    def arrange(work: Callable[[], object], *, times: int = 1) -> None:
        left = iter(range(times))

        def hash_and_work(stream: BinaryIO) -> Digest:
            found = hash_file(stream)
            if next(left, None) is not None:
                work()
            return found

        monkeypatch.setattr(blobs, "hash_file", hash_and_work)

    return arrange


def test_a_blob_that_its_session_marks_while_it_is_hashed_is_good(
    root: str, store: Store, blob_path: BlobPath, meanwhile: Meanwhile
) -> None:
    stored = store.layers.put(CHANGESET)
    meanwhile(lambda: store.images.put(make_image([stored]), [APP]))

    with Store.open(root) as other:
        assert other.layers.has(stored.diff_id)

    assert blob_path(stored.diff_id).stat().st_mtime_ns == 0


def test_two_sessions_that_hash_a_blob_both_find_it_good(
    root: str, layer: StoredLayer, store: Store, blob_path: BlobPath, meanwhile: Meanwhile
) -> None:
    os.utime(blob_path(layer.diff_id))
    with Store.open(root) as other:
        meanwhile(lambda: other.layers.verify(layer.diff_id))

        store.layers.verify(layer.diff_id)

    assert blob_path(layer.diff_id).stat().st_mtime_ns == 0


@pytest.mark.parametrize("change", [os.utime, lambda path: os.link(path, f"{path}.other")], ids=["touch", "link"])
def test_a_blob_whose_bytes_are_the_same_is_good(
    change: Callable[[Path], object], layer: StoredLayer, store: Store, blob_path: BlobPath, meanwhile: Meanwhile
) -> None:
    os.utime(blob_path(layer.diff_id))
    meanwhile(lambda: change(blob_path(layer.diff_id)))

    assert store.layers.has(layer.diff_id)


@pytest.mark.parametrize("is_forged", [False, True])
def test_a_byte_that_changes_behind_who_hashes_is_found(
    is_forged: bool, layer: StoredLayer, store: Store, blob_path: BlobPath, flip: Flip, meanwhile: Meanwhile
) -> None:
    os.utime(blob_path(layer.diff_id), ns=(5, 5))
    meanwhile(lambda: flip(blob_path(layer.diff_id), keep_times=is_forged))

    assert not store.layers.has(layer.diff_id)
    assert blob_path(layer.diff_id).stat().st_mtime_ns != 0


def test_a_blob_that_is_never_at_rest_is_not_trusted(
    layer: StoredLayer, store: Store, blob_path: BlobPath, meanwhile: Meanwhile
) -> None:
    os.utime(blob_path(layer.diff_id))
    times = itertools.count(1)
    meanwhile(lambda: os.utime(blob_path(layer.diff_id), ns=(0, next(times))), times=99)

    assert not store.layers.has(layer.diff_id)
    assert next(times) < 9, "and it is not read for ever"


def test_a_good_blob_is_never_touched(layer: StoredLayer, store: Store, blob_path: BlobPath) -> None:
    before = blob_path(layer.diff_id).stat()

    store.layers.put(CHANGESET)

    after = blob_path(layer.diff_id).stat()
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


def test_a_reader_goes_on_while_the_same_layer_is_put(layer: StoredLayer, store: Store) -> None:
    with store.layers.open(layer.diff_id) as tar:
        store.layers.put(CHANGESET)
        data = tar.read()

    assert Digest.of(data) == layer.diff_id


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_blob_is_replaced(
    layer: StoredLayer, store: Store, damage: str, blob_path: BlobPath, flip: Flip
) -> None:
    path = blob_path(layer.diff_id)
    path.chmod(0o644)
    if damage == "flip":
        flip(path)
    else:
        os.truncate(path, 0 if damage == "empty" else layer.size - 1)
        os.utime(path, ns=(0, 0))

    store.layers.put(CHANGESET)

    assert store.layers.has(layer.diff_id)
    assert Digest.of(path.read_bytes()) == layer.diff_id


def test_an_image_with_a_damaged_layer_is_not_committed(
    layer: StoredLayer, store: Store, blob_path: BlobPath, flip: Flip
) -> None:
    flip(blob_path(layer.diff_id))

    with pytest.raises(BlobCorruptError, match=f"{layer.diff_id} is damaged"):
        store.images.put(make_image([layer]), [APP])
    assert store.images.records() == []


def test_a_base_with_a_damaged_layer_is_refused_at_once(
    layer: StoredLayer, store: Store, blob_path: BlobPath, flip: Flip
) -> None:
    store.images.put(make_image([layer]), [APP])
    flip(blob_path(layer.diff_id))

    with pytest.raises(BlobCorruptError, match=f"{layer.diff_id} is damaged"):
        store.images.get(APP)


@pytest.mark.parametrize("which", ["config", "manifest"])
def test_config_and_manifest_are_verified_on_every_read(
    store: Store, which: str, blob_path: BlobPath, flip: Flip
) -> None:
    image = make_image()
    manifest = store.images.put(image, [APP])
    digest = manifest if which == "manifest" else image.id
    flip(blob_path(digest), keep_times=True)

    with pytest.raises(BlobCorruptError, match=f"{digest} is damaged"):
        store.images.get(APP)


def test_what_a_power_cut_leaves_is_not_trusted(layer: StoredLayer, store: Store, blob_path: BlobPath) -> None:
    """The name is there, the bytes never came to the disk, and neither did the mark."""
    path = blob_path(layer.diff_id)
    path.unlink()
    path.write_bytes(bytes(layer.size))

    assert not store.layers.has(layer.diff_id)
    assert store.layers.put(CHANGESET) == StoredLayer(layer.diff_id, layer.size, store.layers.put(CHANGESET).digests)
    assert store.layers.has(layer.diff_id)


def test_a_file_that_was_closed_is_closed_once(root: str, store: Store) -> None:
    blob = blobs.NewBlob(str(Path(root, "new")))
    blob.close()
    others = os.pipe()

    blob.discard()

    assert [os.fstat(number) for number in (0, *others)]
    assert not Path(root, "new").exists()
    for number in others:
        os.close(number)


def test_a_failed_write_leaves_nothing(root: str, store: Store) -> None:
    with pytest.raises(ValueError, match="order"):
        store.layers.put([*one_file(b"x" * 3_000_000), *one_file(b"again")])

    assert os.listdir(Path(root, "blobs", "sha256")) == []
    assert [os.listdir(folder) for folder in Path(root, "ingest").iterdir()] == [["lease"]]


def test_many_layers_are_waited_for_together(root: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)

    layers = [store.layers.put(one_file(str(number).encode())) for number in range(100)]
    before = len(synced)
    store.images.put(make_image(layers), [APP])

    assert before == 0
    # A hundred layers, config, manifest, their directory, index.json and the root.
    assert len(synced) == 105


def test_what_was_made_long_ago_is_waited_for_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, blob_path: BlobPath
) -> None:
    times = iter([100.0, 103.0])
    monkeypatch.setattr("kubeimage.store.blobs.time.monotonic", lambda: next(times))

    layers = [store.layers.put(one_file(content)) for content in (b"first", b"later")]

    assert [blob_path(layer.diff_id).stat().st_mtime_ns for layer in layers] == [0, 0]
