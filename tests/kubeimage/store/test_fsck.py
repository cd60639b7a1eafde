import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.contracts import APP, OTHER, make_image, one_file
from kubeimage.cache import CacheRecords, DirectoryBuildCache
from kubeimage.errors import BlobCorruptError, StoreError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import MEDIA_TYPE_LAYER
from kubeimage.layer.entry import canonical_order, directory, file, symlink
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.layers import StoredLayer
from kubeimage.store import Store, cache_folder

BlobPath = Callable[[Digest], Path]
Flip = Callable[..., None]
OpenStore = Callable[[], Store]
KEY = CacheKey(None, (("kind", "RUN"), ("command", "make")), (("a", "file 644 1 ab"),))
TREE = canonical_order([directory("etc"), file("etc/conf", b"a: 1\n"), symlink("link", "etc/conf")])


@pytest.fixture
def layer(root: str, open_store: OpenStore) -> StoredLayer:
    """The layer of an image that is called app:v1, is in the cache, and is unpacked."""
    with open_store() as store:
        stored = store.layers.put(TREE)
        store.images.put(make_image([stored]), [APP])
        store.snapshots.path(stored.diff_id)
        cache = DirectoryBuildCache(CacheRecords(cache_folder(root)), store.layers)
        cache.record(KEY, CachedStep(stored))
        return stored


def damages(store: Store) -> list[str]:
    return [finding.what for finding in store.check() if finding.damage]


def is_clean_after_repair(store: Store) -> bool:
    assert all(finding.repaired for finding in store.check(repair=True) if finding.damage)
    return not damages(store)


def put_first_manifest(store: Store, data: bytes) -> None:
    """Put a manifest in the place of the one that the index names first."""
    digest = store._blobs.put(data)
    index = Path(store.root, "index.json")
    value = json.loads(index.read_text())
    value["manifests"][0] |= {"digest": str(digest), "size": len(data)}
    index.write_text(json.dumps(value))


@pytest.mark.usefixtures("layer")
def test_a_whole_store_has_no_findings(store: Store) -> None:
    assert store.check() == []


def test_a_flipped_byte_is_found_whatever_its_times_say(
    store: Store, layer: StoredLayer, blob_path: BlobPath, flip: Flip
) -> None:
    flip(blob_path(layer.diff_id), keep_times=True)

    findings = [finding for finding in store.check() if finding.damage]
    assert str(blob_path(layer.diff_id)) in [finding.where for finding in findings]
    assert all("fsck --repair" in finding.advice for finding in findings)
    assert any("image registry.cn-qingdao.aliyuncs.com/sealer-io/app:v1 is broken" in one.what for one in findings)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_bit_flipped_anywhere_is_found(store: Store, layer: StoredLayer, data: st.DataObject) -> None:
    """In blobs, index, records and snapshots; what is not found changes nothing."""
    files = sorted(path for path in Path(store.root).rglob("*") if _matters(path))
    path = data.draw(st.sampled_from(files))
    before, records = path.read_bytes(), store.images.records()
    bit = data.draw(st.integers(0, len(before) * 8 - 1))
    damaged = bytearray(before)
    damaged[bit // 8] ^= 1 << bit % 8
    _overwrite(path, damaged)

    try:
        assert is_found(store) or store.images.records() == records
    finally:
        _overwrite(path, before)


def is_found(store: Store) -> bool:
    try:
        return bool(store.check())
    except StoreError:
        return True


def _matters(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size > 0 and "ingest" not in path.parts


def _overwrite(path: Path, content: bytes | bytearray) -> None:
    status = path.stat()
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(status.st_mode & 0o777)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_repair_takes_the_name_from_a_broken_image(
    store: Store, layer: StoredLayer, blob_path: BlobPath, flip: Flip
) -> None:
    good = make_image([store.layers.put(one_file(b"good"))])
    store.images.put(good, [OTHER])
    flip(blob_path(layer.diff_id))

    assert is_clean_after_repair(store)
    assert [record.reference for record in store.images.records()] == [OTHER]
    assert store.images.get(OTHER) == good


def test_a_repaired_store_can_be_built_into_again(
    store: Store, layer: StoredLayer, blob_path: BlobPath, flip: Flip
) -> None:
    flip(blob_path(layer.diff_id))
    store.check(repair=True)

    store.images.put(make_image([store.layers.put(TREE)]), [APP])

    assert store.images.get(APP) == make_image([layer])


@pytest.mark.parametrize("which", ["layer", "config", "manifest"])
def test_a_missing_blob_is_found(store: Store, layer: StoredLayer, blob_path: BlobPath, which: str) -> None:
    image = make_image([layer])
    digest = {"layer": layer.diff_id, "config": image.id, "manifest": Digest.of(image.manifest.to_bytes())}[which]
    blob_path(digest).unlink()

    assert any(f"the blob {digest} is missing" in what for what in damages(store))
    assert is_clean_after_repair(store)
    store.collect_garbage(keep_cache=False)
    assert store.check() == []


def test_a_wrong_size_in_a_manifest_is_found(store: Store, layer: StoredLayer, blob_path: BlobPath) -> None:
    data = make_image([layer]).manifest.to_bytes().replace(f'"size":{layer.size}'.encode(), b'"size":7')
    put_first_manifest(store, data)

    assert any(f"has {layer.size} bytes where 7 are recorded" in what for what in damages(store))


@pytest.mark.parametrize("media_type", ["null", '"text/plain"'])
def test_a_layer_of_an_image_of_ours_that_is_said_to_be_something_else_is_found(
    store: Store, layer: StoredLayer, media_type: str
) -> None:
    written = f'"mediaType":"{MEDIA_TYPE_LAYER}"'.encode()
    data = make_image([layer]).manifest.to_bytes().replace(written, f'"mediaType":{media_type}'.encode())
    put_first_manifest(store, data)

    assert any("app:v1 is broken" in what for what in damages(store))
    assert is_clean_after_repair(store)


def test_a_config_that_names_other_layers_is_found(store: Store, layer: StoredLayer) -> None:
    other = make_image([store.layers.put(one_file(b"other"))])
    data = make_image([layer]).manifest.to_bytes().replace(str(make_image([layer]).id).encode(), str(other.id).encode())
    store._blobs.put(other.config)
    data = data.replace(f'"size":{len(make_image([layer]).config)}'.encode(), f'"size":{len(other.config)}'.encode())
    put_first_manifest(store, data)

    assert any("rootfs.diff_ids are not the manifest's layers" in what for what in damages(store))


def test_an_id_in_the_index_that_is_not_the_images_is_found(store: Store, layer: StoredLayer) -> None:
    index = Path(store.root, "index.json")
    index.write_text(index.read_text().replace(make_image([layer]).id.hex, "0" * 64))

    assert any("gives the image id" in what for what in damages(store))


def edit_index(store: Store, old: str, new: str) -> None:
    path = Path(store.root, "index.json")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        pytest.param("image.manifest.v1", "image.mqnifest.v1", "which is no image's", id="media type"),
        pytest.param('"digest":"sha256:', '"digest":"sha257:', "no descriptor", id="digest's algorithm"),
        pytest.param('"size":', '"size":1', "are recorded", id="size"),
        pytest.param('"os":"linux"', '"os":"lynux"', "is for linux/amd64", id="platform"),
        pytest.param('"platform"', '"qlatform"', "no platform", id="no platform"),
        pytest.param('image.id":"sha256:', 'image.id":"sha255:', "the image id", id="image id"),
        pytest.param("image.ref.name", "image.raf.name", "one of the two forms", id="short name"),
        pytest.param("containerd.image.name", "containerd.image.nam%", "one of the two forms", id="full name"),
        pytest.param('"schemaVersion":2', '"schemaVersion":3', "of version 3", id="version"),
        pytest.param("image.index.v1", "image.indux.v1", "no image index", id="index's media type"),
        pytest.param('"manifests":[{', '"manifests":[[', "is damaged", id="no JSON"),
    ],
)
def test_a_spoilt_index_is_mended_with_its_names(
    store: Store, layer: StoredLayer, old: str, new: str, what: str
) -> None:
    """The image itself is whole, so nothing of it may be lost."""
    before = Path(store.root, "index.json").read_bytes()
    edit_index(store, old, new)

    assert any(what in told for told in damages(store))
    assert is_clean_after_repair(store)
    assert Path(store.root, "index.json").read_bytes() == before
    store.collect_garbage(keep_cache=False)
    assert store.images.get(APP) == make_image([layer])


def test_a_spoilt_entry_is_an_error_and_not_an_image_that_is_not_there(store: Store, layer: StoredLayer) -> None:
    edit_index(store, "image.manifest.v1", "image.mqnifest.v1")

    with pytest.raises(BlobCorruptError, match="the list of images is damaged"):
        store.images.get(APP)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_flipped_bit_of_the_index_loses_an_image(store: Store, layer: StoredLayer, data: st.DataObject) -> None:
    path, image = Path(store.root, "index.json"), make_image([layer])
    before = path.read_bytes()
    bit = data.draw(st.integers(0, len(before) * 8 - 1))
    damaged = bytearray(before)
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)

    store.check(repair=True)
    store.collect_garbage(keep_cache=True)

    try:
        assert store.images.find(image.id.hex) == image
        assert damages(store) == []
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("content", [None, b"", b"{"])
def test_a_lost_index_is_made_again_without_names(store: Store, layer: StoredLayer, content: bytes | None) -> None:
    index = Path(store.root, "index.json")
    index.unlink()
    if content is not None:
        index.write_bytes(content)

    assert len(damages(store)) == 1
    assert is_clean_after_repair(store)
    assert store.images.find(make_image([layer]).id.hex) == make_image([layer])
    assert Path(f"{index}.damaged").exists() == (content is not None)


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda root: (root / "etc/conf").write_bytes(b"a: 2\n"), id="content"),
        pytest.param(lambda root: (root / "etc/conf").write_bytes(b"a: 1\n\n"), id="longer"),
        pytest.param(lambda root: (root / "etc/conf").write_bytes(b""), id="empty"),
        pytest.param(lambda root: (root / "etc/conf").chmod(0o666), id="mode"),
        pytest.param(lambda root: (root / "etc/conf").unlink(), id="missing"),
        pytest.param(lambda root: (root / "etc/more").touch(), id="a stranger"),
        pytest.param(lambda root: (root / "more").mkdir(), id="a strange directory"),
        pytest.param(lambda root: [(root / "link").unlink(), (root / "link").symlink_to("x")], id="target"),
        pytest.param(lambda root: [(root / "link").unlink(), (root / "link").touch()], id="type"),
        pytest.param(lambda root: (root / "etc").chmod(0o777), id="mode of a directory"),
        pytest.param(lambda root: [shutil.rmtree(root), root.write_bytes(b"")], id="a file for all of it"),
    ],
)
def test_a_changed_snapshot_is_found_and_made_again(
    store: Store, layer: StoredLayer, harm: Callable[[Path], object]
) -> None:
    path = Path(store.snapshots.path(layer.diff_id))
    harm(path)

    assert [what.partition(":")[0] for what in damages(store)] == ["the unpacked layer is not as it was"]
    assert is_clean_after_repair(store)
    assert (Path(store.snapshots.path(layer.diff_id)) / "etc/conf").read_bytes() == b"a: 1\n"


def test_a_snapshot_that_is_of_no_use_any_more_is_told_of_with_its_reason(store: Store, layer: StoredLayer) -> None:
    kept = Path(store.snapshots.path(layer.diff_id))
    kept.with_name("0" * 64).mkdir()
    earlier = kept.parent.with_name("earlier")
    earlier.mkdir()
    (earlier / kept.name).mkdir()

    found = {finding.where: (finding.what.partition(": ")[2], finding.damage) for finding in store.check()}

    assert found == {
        str(kept.with_name("0" * 64)): ("its layer is gone", False),
        str(earlier / kept.name): ("it was made before this machine was started", False),
    }


@pytest.mark.parametrize("content", [b"", b"{}\n", b"\0" * 100, b'{"version":1,"layer":null,"check":"00"}\n'])
@pytest.mark.usefixtures("layer")
def test_a_damaged_cache_record_is_found_and_removed(store: Store, content: bytes) -> None:
    record = Path(CacheRecords(cache_folder(store.root)).path(KEY))
    record.write_bytes(content)

    assert len(damages(store)) == 1
    assert is_clean_after_repair(store)
    assert not record.exists()


@pytest.mark.usefixtures("layer")
def test_a_changed_field_of_a_cache_record_is_found(store: Store) -> None:
    record = Path(CacheRecords(cache_folder(store.root)).path(KEY))
    record.write_bytes(record.read_bytes().replace(b"make", b"fake"))

    assert damages(store) == ["the cache record cannot be used: its fields are not those of its key"]


def test_garbage_is_no_damage(store: Store, open_store: OpenStore) -> None:
    with open_store() as other:
        other.layers.put(one_file(b"unused"))

    findings = store.check()

    assert [(finding.damage, finding.advice) for finding in findings] == [(False, "kubeimage prune frees the room")]


def test_what_a_power_cut_spoilt_before_it_was_committed_is_no_damage(store: Store, blob_path: BlobPath) -> None:
    blob_path(Digest.of(b"never written")).write_bytes(bytes(100))

    assert [finding.damage for finding in store.check()] == [False]
    assert is_clean_after_repair(store)


def times(store: Store) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in Path(store.root).rglob("*") if "ingest" not in path.parts}


def test_a_check_changes_nothing(store: Store, layer: StoredLayer, blob_path: BlobPath, flip: Flip) -> None:
    flip(blob_path(layer.diff_id))
    Path(store.root, "oci-layout").unlink()
    before = times(store)

    assert not any(finding.repaired for finding in store.check())

    assert times(store) == before


@pytest.mark.parametrize("content", [None, b"", b'{"imageLayoutVersion": "2"}'])
@pytest.mark.usefixtures("layer")
def test_the_mark_of_an_image_layout_is_written_again(store: Store, content: bytes | None) -> None:
    mark = Path(store.root, "oci-layout")
    mark.unlink()
    if content is not None:
        mark.write_bytes(content)

    assert is_clean_after_repair(store)
    assert json.loads(mark.read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_a_store_that_has_only_its_list_of_images_left_is_one(root: str, store: Store, layer: StoredLayer) -> None:
    """Other commands show its images, so they have to be good."""
    store.images.put(make_image([layer]), [APP])
    store.close()
    for name in ("oci-layout", "kubeimage.json"):
        Path(root, name).unlink()

    with Store.open(root, create=False) as left:
        assert [one.where for one in left.check() if one.damage] == [str(Path(root, "oci-layout"))]
        assert [one.repaired for one in left.check(repair=True)] == [True]
    with Store.open(root, create=False) as left:
        assert left.check() == []
        assert left.images.get(APP) is not None


def test_a_folder_that_happens_to_have_an_index_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{}")

    with Store.open(str(tmp_path), create=False) as other:
        assert other.check(repair=True) == []

    assert os.listdir(tmp_path) == ["index.json"]


def test_two_images_of_one_name_are_pointed_out(store: Store, layer: StoredLayer) -> None:
    index = Path(store.root, "index.json")
    value = json.loads(index.read_text())
    value["manifests"] *= 2
    index.write_text(json.dumps(value))

    assert [(one.damage, "two images are called" in one.what) for one in store.check()] == [(False, True)]


def test_a_platform_in_the_index_that_is_not_the_images_is_found(store: Store, layer: StoredLayer) -> None:
    index = Path(store.root, "index.json")
    index.write_text(index.read_text().replace("amd64", "arm64"))

    assert any("is for linux/amd64" in what for what in damages(store))


@pytest.mark.usefixtures("layer")
@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        pytest.param('"app:v1"', '"app:v2"', "has two names", id="two names"),
        pytest.param('"annotations"', '"annotation5"', "has no name", id="no name"),
    ],
)
def test_odd_names_are_pointed_out(store: Store, old: str, new: str, what: str) -> None:
    """Another tool may have given them; it is no damage."""
    index = Path(store.root, "index.json")
    index.write_text(index.read_text().replace(old, new))

    assert [(one.damage, what in one.what) for one in store.check()] == [(False, True)]
