import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.contracts import APP, CHANGESET, OTHER, make_image, one_file
from kubeimage.cache import CacheRecords, DirectoryBuildCache
from kubeimage.errors import StoreAccessError, StoreFullError
from kubeimage.image.digest import Digest
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.layers import StoredLayer
from kubeimage.store import Store, cache_folder
from kubeimage.store.snapshots import DirectorySnapshotStore

# Under xdist the process has threads that a child does without.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

BlobPath = Callable[[Digest], Path]
OpenStore = Callable[[], Store]
KEY = CacheKey(None, (("kind", "RUN"), ("command", "make")))


def remember(root: str, layer: StoredLayer) -> None:
    with Store.open(root) as store:
        DirectoryBuildCache(CacheRecords(cache_folder(root)), store.layers).record(KEY, CachedStep(layer))


def contents(root: str) -> dict[str, int]:
    """Every file of the store but the locks, with its size; of several names of one file the first."""
    paths = sorted(path for path in Path(root).rglob("*") if not path.is_dir() and not path.name.endswith(".lock"))
    files = {path.lstat().st_ino: path for path in reversed(paths)}
    return {str(path.relative_to(root)): path.lstat().st_size for path in files.values()}


@pytest.fixture
def garbage(open_store: OpenStore) -> StoredLayer:
    """A layer that an earlier session made and no image has."""
    with open_store() as store:
        return store.layers.put(CHANGESET)


def test_a_layer_that_nothing_refers_to_is_removed(store: Store, garbage: StoredLayer, blob_path: BlobPath) -> None:
    report = store.collect_garbage()

    assert [(item.kind, item.name, item.size) for item in report.items] == [("blob", garbage.diff_id.hex, garbage.size)]
    assert not blob_path(garbage.diff_id).exists()


def test_an_image_keeps_all_it_needs(store: Store) -> None:
    image = make_image([store.layers.put(CHANGESET)])
    store.images.put(image, [APP])

    assert store.collect_garbage(keep_cache=False).items == ()
    assert store.check() == []


@pytest.mark.parametrize("digest", [[], {}, None, 1, "sha256:x"], ids=repr)
def test_a_nameless_image_whose_entry_is_damaged_goes(root: str, store: Store, digest: object) -> None:
    store.images.put(make_image([store.layers.put(CHANGESET)]), [])
    path = Path(root, "index.json")
    listed = json.loads(path.read_bytes())
    listed["manifests"][0]["digest"] = digest
    path.write_text(json.dumps(listed))

    with Store.open(root) as other:
        other.images.put(make_image(cmd="other"), [])
        other.collect_garbage()

    assert all(one["digest"] != digest for one in json.loads(path.read_bytes())["manifests"])


def test_a_dry_run_says_what_would_go_and_removes_nothing(root: str, store: Store, garbage: StoredLayer) -> None:
    remember(root, garbage)
    with Store.open(root) as other:
        unpack(other.snapshots, garbage)
    before = contents(root)

    dry = store.collect_garbage(keep_cache=False, dry_run=True)
    assert contents(root) == before
    real = store.collect_garbage(keep_cache=False)

    assert dry == real
    after = contents(root)
    assert real.size == sum(size for name, size in before.items() if name not in after)
    assert {item.kind for item in real.items} == {"blob", "snapshot", "cache"}


def test_what_stays_elsewhere_under_another_name_is_not_freed(
    store: Store, garbage: StoredLayer, blob_path: BlobPath, tmp_path: Path
) -> None:
    """A copy of the store made of hard links, as backups are."""
    os.link(blob_path(garbage.diff_id), tmp_path / "backup")

    dry, real = store.collect_garbage(dry_run=True), store.collect_garbage()

    assert (dry, real.size, len(real.items)) == (real, 0, 1)


def test_what_cannot_be_removed_is_not_said_to_be_freed(
    store: Store, garbage: StoredLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubeimage.store.gc.try_remove_tree", lambda _: False)

    assert store.collect_garbage().items == ()


def unpack(snapshots: DirectorySnapshotStore, layer: StoredLayer) -> str:
    if os.geteuid():
        pytest.skip("an ordinary user cannot make whiteouts everywhere")
    return snapshots.path(layer.diff_id)


def test_the_cache_keeps_its_layers_if_it_is_kept(root: str, store: Store, garbage: StoredLayer) -> None:
    remember(root, garbage)

    assert store.collect_garbage(keep_cache=True).items == ()
    assert [item.kind for item in store.collect_garbage(keep_cache=False).items] == ["cache", "blob"]
    assert not os.path.exists(cache_folder(root))


def test_what_a_running_build_made_or_found_is_kept(
    store: Store, another: Store, garbage: StoredLayer, blob_path: BlobPath
) -> None:
    made = another.layers.put(one_file(b"made"))
    assert another.layers.has(garbage.diff_id)

    assert store.collect_garbage(keep_cache=False).items == ()

    another.close()
    assert len(store.collect_garbage(keep_cache=False).items) == 2
    assert not blob_path(made.diff_id).exists()


def test_a_snapshot_goes_with_its_layer(store: Store, another: Store) -> None:
    layer = another.layers.put(one_file(b"1"))
    path = another.snapshots.path(layer.diff_id)
    assert store.collect_garbage().items == ()
    another.close()

    assert {item.kind for item in store.collect_garbage().items} == {"blob", "snapshot"}
    assert not os.path.exists(path)


def test_a_snapshot_from_before_the_last_boot_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = store.layers.put(one_file(b"1"))
    store.images.put(make_image([layer]), [APP])
    store.snapshots.path(layer.diff_id)
    assert store.collect_garbage().items == ()

    monkeypatch.setattr("kubeimage.store.snapshots._boot", lambda: "the-next-boot")

    assert [item.kind for item in store.collect_garbage().items] == ["snapshot"]


def test_an_image_that_lost_its_name_goes(store: Store) -> None:
    store.images.put(make_image(cmd="old"), [APP])
    store.images.put(make_image(cmd="new"), [APP])

    assert len(store.collect_garbage().items) == 2
    assert store.images.get(APP) == make_image(cmd="new")


def test_an_image_of_ours_that_never_had_a_name_goes(store: Store) -> None:
    store.images.put(make_image())

    assert len(store.collect_garbage().items) == 2
    assert store.images.records() == []


def test_an_image_of_another_tool_stays_without_a_name(root: str, store: Store) -> None:
    store.images.put(make_image(), [APP])
    index = json.loads(Path(root, "index.json").read_text())
    del index["manifests"][0]["annotations"]
    Path(root, "index.json").write_text(json.dumps(index))

    assert store.collect_garbage().items == ()


def test_artifacts_of_other_tools_keep_their_blobs(root: str, store: Store) -> None:
    """A signature is a manifest too, and what it names must not go."""
    signature = store.layers.put(one_file(b"signature")).diff_id
    config = store._blobs.put(b"{}")
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "artifactType": "application/x-signature",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": str(config), "size": 2},
            "layers": [{"mediaType": "application/x-signature", "digest": str(signature), "size": 10}],
        }
    ).encode()
    digest = store._blobs.put(manifest)
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": str(digest),
        "size": len(manifest),
    }
    Path(root, "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))

    assert store.collect_garbage(keep_cache=False).items == ()


def test_what_dead_processes_left_is_counted(
    root: str, store: Store, in_a_killed_child: Callable[[Callable[[], object]], None]
) -> None:
    def work() -> None:
        other = Store.open(root)
        Path(other._session.folder(), "half").write_bytes(bytes(1000))

    in_a_killed_child(work)

    dry, real = store.collect_garbage(dry_run=True), store.collect_garbage()
    assert dry == real
    assert [(item.kind, item.size) for item in real.items] == [("leftover", 1000)]
    assert len(os.listdir(Path(root, "ingest"))) == 1


def test_removing_an_image_leaves_the_caches_layers(root: str, open_store: OpenStore, blob_path: BlobPath) -> None:
    with open_store() as store:
        cached, plain = store.layers.put(one_file(b"cached")), store.layers.put(one_file(b"plain"))
        image = make_image([cached, plain])
        manifest = store.images.put(image, [APP])
    remember(root, cached)

    with open_store() as store:
        assert store.images.remove(APP) == sorted([manifest, image.id, plain.diff_id])
    assert blob_path(cached.diff_id).exists()


def test_removing_an_image_leaves_what_a_running_build_uses(store: Store, another: Store) -> None:
    layer = store.layers.put(CHANGESET)
    image = make_image([layer])
    manifest = store.images.put(image, [APP])
    assert another.layers.has(layer.diff_id)

    assert store.images.remove(APP) == sorted([manifest, image.id])
    another.images.put(make_image([layer], cmd="other"), [OTHER])
    assert another.images.get(OTHER) is not None


@pytest.mark.parametrize("flipped", [0x80, 0x40], ids=["no text", "no digest"])
def test_a_damaged_lease_of_a_running_build_stops_garbage_collection(
    root: str, store: Store, another: Store, garbage: StoredLayer, blob_path: BlobPath, flipped: int
) -> None:
    """What the build relies on is not known then."""
    another.layers.has(garbage.diff_id)
    lease = Path(root, "ingest", str(another._session.name), "lease")
    data = bytearray(lease.read_bytes())
    data[5] ^= flipped
    lease.write_bytes(data)

    with pytest.raises(StoreAccessError, match=r"lease .* is damaged"):
        store.collect_garbage()

    another.close()
    assert blob_path(garbage.diff_id).exists()
    assert len(store.collect_garbage().items) == 1


def test_a_base_that_was_found_stays_until_the_build_ends(store: Store, another: Store) -> None:
    """Also before the first step has asked for any of its layers."""
    layer = another.layers.put(CHANGESET)
    another.images.put(make_image([layer]), [APP])
    another.close()
    base = store.images.get(APP)

    another.images.remove(APP)
    assert another.collect_garbage(keep_cache=False).items == ()

    assert base == make_image([layer])
    store.images.put(make_image([layer], cmd="derived"), [OTHER])
    assert [finding for finding in store.check() if finding.damage] == []


def test_removing_an_image_removes_its_snapshots(store: Store) -> None:
    layer = store.layers.put(one_file(b"1"))
    store.images.put(make_image([layer]), [APP])
    path = store.snapshots.path(layer.diff_id)

    store.images.remove(APP)

    assert not os.path.exists(path)


def test_an_image_that_cannot_be_removed_keeps_its_name(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_image([store.layers.put(CHANGESET)])
    store.images.put(image, [APP])

    def fail(*_: object, **__: object) -> None:
        raise StoreFullError("no room")

    monkeypatch.setattr("kubeimage.store.index.write_new_file", fail)
    with pytest.raises(StoreFullError):
        store.images.remove(APP)

    assert store.images.get(APP) == image
    assert store.check() == []


def test_a_full_disk_can_be_pruned(
    open_store: OpenStore, garbage: StoredLayer, blob_path: BlobPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str, mode: int = 0o777) -> None:
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(os, "mkdir", fail)
    with open_store() as store:
        report = store.collect_garbage()

    assert report.size == garbage.size
    assert not blob_path(garbage.diff_id).exists()


def test_names_that_are_no_digests_are_left_alone(root: str, store: Store) -> None:
    strange = Path(root, "blobs", "sha256", "README")
    strange.write_text("mine")

    store.collect_garbage(keep_cache=False)

    assert strange.exists()


def test_records_of_the_cache_are_removed_while_nobody_can_write_to_it(root: str, garbage: StoredLayer) -> None:
    """Blobs and snapshots have no writers that would have to wait."""
    held: list[bool] = []

    class Watched(CacheRecords):
        @contextmanager
        def locked(self) -> Iterator[None]:
            with super().locked():
                before = contents(cache_folder(root))
                yield
                held.append(before != contents(cache_folder(root)))

    remember(root, garbage)
    with Store.open(root, cache=Watched(cache_folder(root))) as store:
        report = store.collect_garbage(keep_cache=False)

    assert sorted(item.kind for item in report.items) == ["blob", "cache"]
    assert held == [True]


def test_what_is_gone_already_keeps_nothing_else_from_going(
    open_store: OpenStore, blob_path: BlobPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store() as store:
        blobs = [blob_path(store.layers.put(one_file(bytes([number]))).diff_id) for number in range(3)]
    rename = os.rename
    refused: list[str] = []

    def rename_but_one(source: str, target: str) -> None:
        if not refused and source in map(str, blobs):
            refused.append(source)
            os.unlink(source)
        rename(source, target)

    with open_store() as store:
        monkeypatch.setattr(os, "rename", rename_but_one)
        store.collect_garbage()

    assert refused
    assert not any(blob.exists() for blob in blobs)
