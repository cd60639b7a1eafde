import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from harness.contracts import AMD64, APP, ARM64, CHANGESET, OTHER, make_image, one_file
from kubeimage.errors import BlobCorruptError, StoreError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import MEDIA_TYPE_MANIFEST, Descriptor, Index
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.store import Store

BlobPath = Callable[[Digest], Path]


def index_of(root: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(Path(root, "index.json").read_text())
    return value


def write_index(root: str, *entries: dict[str, Any]) -> None:
    Path(root, "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": list(entries)}))


def test_an_entry_has_the_names_that_other_tools_look_for(root: str, store: Store) -> None:
    image = make_image()
    manifest = store.images.put(image, [APP])

    assert index_of(root)["manifests"] == [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": str(manifest),
            "size": len(image.manifest.to_bytes()),
            "platform": {"architecture": "amd64", "os": "linux"},
            "annotations": {
                "org.opencontainers.image.ref.name": "app:v1",
                "io.containerd.image.name": "registry.cn-qingdao.aliyuncs.com/sealer-io/app:v1",
                "io.kubeimage.image.id": str(image.id),
            },
        }
    ]


@pytest.mark.parametrize("own", [True, False])
def test_a_digest_in_a_name_stays_where_it_is_the_image_s(store: Store, own: bool) -> None:
    image = make_image()
    digest = Digest.of(image.manifest.to_bytes()) if own else Digest.of(b"another")
    named = Reference.parse(f"app:v1@{digest}")

    store.images.put(image, [named])

    assert [record.reference for record in store.images.records()] == [named if own else APP]


def test_committing_the_same_image_again_writes_nothing(root: str, store: Store) -> None:
    image = make_image([store.layers.put(CHANGESET)])
    store.images.put(image, [APP, OTHER])
    before = {
        path: path.stat().st_ctime_ns for path in Path(root).rglob("*") if path.is_file() and path.suffix != ".lock"
    }

    with Store.open(root) as again:
        again.images.put(image, [APP, OTHER])

    assert {path: path.stat().st_ctime_ns for path in before} == before


def test_an_image_gets_all_its_names_at_once(root: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.images.put(make_image(), [APP])
    replaced: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda new, old: (replaced.append(old), replace(new, old)))

    store.images.put(make_image(cmd="new"), [APP, OTHER])

    assert replaced == [f"{root}/index.json"]


def test_what_other_tools_wrote_into_the_index_survives(root: str, store: Store) -> None:
    store.images.put(make_image(), [APP])
    entry = index_of(root)["manifests"][0]
    foreign = {**entry, "annotations": {"org.opencontainers.image.ref.name": "v9", "x": "y"}, "artifactType": "text/x"}
    sbom = {"mediaType": "application/spdx+json", "digest": str(Digest.of(b"sbom")), "size": 4}
    write_index(root, foreign, sbom)

    store.images.put(make_image(cmd="other"), [OTHER])

    assert index_of(root)["manifests"][:2] == [foreign, sbom]


@pytest.mark.parametrize(
    ("annotations", "name"),
    [
        pytest.param({"org.opencontainers.image.ref.name": "v1"}, "v1:latest", id="a tag alone"),
        pytest.param({"org.opencontainers.image.ref.name": "app:v1"}, "app:v1", id="a familiar name"),
        pytest.param({"org.opencontainers.image.ref.name": "quay.io/a/b:1"}, "quay.io/a/b:1", id="a full name"),
        pytest.param({"io.containerd.image.name": "docker.io/library/a:1"}, "docker.io/library/a:1", id="containerd"),
        pytest.param(
            {
                "org.opencontainers.image.ref.name": "new",
                "io.containerd.image.name": "registry.cn-qingdao.aliyuncs.com/sealer-io/app:v1",
            },
            "new:latest",
            id="renamed by umoci",
        ),
    ],
)
def test_names_that_other_tools_give_are_understood(
    root: str, store: Store, annotations: dict[str, str], name: str
) -> None:
    image = make_image()
    store.images.put(image, [APP])
    write_index(root, {**index_of(root)["manifests"][0], "annotations": annotations})

    reference = Reference.parse(name)
    assert [record.reference for record in store.images.records()] == [reference]
    assert store.images.get(reference) == image


@pytest.mark.parametrize("annotations", [None, {}, {"org.opencontainers.image.ref.name": "NOT A NAME"}])
def test_an_image_without_an_understandable_name_is_found_by_its_id(
    root: str, store: Store, annotations: dict[str, str] | None
) -> None:
    image = make_image()
    store.images.put(image, [APP])
    entry = {**index_of(root)["manifests"][0], "annotations": annotations}
    del entry["platform"]
    write_index(root, entry)

    assert [(one.reference, one.platform, one.image_id) for one in store.images.records()] == [(None, AMD64, image.id)]
    assert store.images.find(image.id.hex[:8]) == image


@pytest.fixture
def two_platforms(root: str, store: Store) -> dict[Platform, Digest]:
    """One name that leads to an image index with two images."""
    images = [make_image(platform=platform) for platform in (ARM64, AMD64)]
    manifests = []
    for image in images:
        store.images.put(image, [APP])
        data = image.manifest.to_bytes()
        manifests.append(Descriptor(MEDIA_TYPE_MANIFEST, Digest.of(data), len(data), platform=image.platform))
    data = Index(tuple(manifests)).to_bytes()
    store._blobs.put(data)
    descriptor = Descriptor.of("application/vnd.oci.image.index.v1+json", data).to_json()
    write_index(root, {**descriptor, "annotations": {"org.opencontainers.image.ref.name": "app:v1"}})
    return {image.platform: image.id for image in images}


def test_a_name_may_lead_to_images_for_several_platforms(store: Store, two_platforms: dict[Platform, Digest]) -> None:
    found = {platform: store.images.get(APP, platform) for platform in two_platforms}

    assert {platform: image and image.id for platform, image in found.items()} == two_platforms
    assert store.images.get(APP, Platform("linux", "s390x")) is None
    assert {(one.platform, one.image_id) for one in store.images.records()} == set(two_platforms.items())
    assert store.check() == []


def test_of_several_platforms_this_machines_is_meant(
    store: Store, two_platforms: dict[Platform, Digest], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for platform in two_platforms:
        monkeypatch.setattr(Platform, "host", lambda platform=platform: platform)
        image = store.images.get(APP)
        found.append(image and image.id)

    assert found == list(two_platforms.values())


def test_removing_a_name_of_several_platforms_frees_all(
    root: str, store: Store, two_platforms: dict[Platform, Digest]
) -> None:
    assert len(store.images.remove(APP)) == 5
    assert os.listdir(Path(root, "blobs", "sha256")) == []


def test_one_broken_image_does_not_hide_the_others(root: str, store: Store, blob_path: BlobPath) -> None:
    broken = store.images.put(make_image(cmd="broken"), [APP])
    image = make_image(cmd="good")
    store.images.put(image, [OTHER])
    entries = index_of(root)["manifests"]
    del entries[0]["annotations"]["io.kubeimage.image.id"]
    write_index(root, *entries)
    blob_path(broken).unlink()

    assert [record.reference for record in store.images.records()] == [OTHER]
    assert store.images.find(image.id.hex) == image
    store.images.remove(APP)
    assert store.images.remove(OTHER)


def test_what_is_no_image_is_refused_with_its_type(root: str, store: Store) -> None:
    stored = store.layers.put(CHANGESET)
    image = make_image([stored])
    data = image.manifest.to_bytes().replace(b"layer.v1.tar", b"layer.v1.iso")
    store._blobs.put(image.config)
    digest = store._blobs.put(data)
    entry = Descriptor(MEDIA_TYPE_MANIFEST, digest, len(data)).to_json()
    write_index(root, {**entry, "annotations": {"org.opencontainers.image.ref.name": "app:v1"}})

    with pytest.raises(StoreError, match=r"layer\.v1\.iso") as caught:
        store.images.get(APP)
    assert not isinstance(caught.value, BlobCorruptError)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"manifests": 1}', b'{"manifests": [1]}', b'{"schemaVersion": 2}', b"\xff\xfe", b"\0" * 512],
)
def test_a_damaged_index_is_an_error_and_never_an_empty_store(root: str, store: Store, content: bytes) -> None:
    store.images.put(make_image(), [APP])
    Path(root, "index.json").write_bytes(content)

    with pytest.raises(StoreError, match=r"index\.json is damaged") as caught:
        store.images.get(APP)
    assert "fsck" in (caught.value.hint or "")
    with pytest.raises(StoreError, match=r"index\.json is damaged"):
        store.images.put(make_image(cmd="other"), [OTHER])
    assert Path(root, "index.json").read_bytes() == content


def test_a_missing_index_is_no_empty_store(root: str, store: Store) -> None:
    Path(root, "index.json").unlink()

    with pytest.raises(StoreError, match="is missing"):
        store.images.records()


@pytest.mark.parametrize(
    "damage",
    [
        {"digest": "sha256:short"},
        {"digest": 5},
        {"size": -1},
        {"size": "big"},
        {"mediaType": None},
        {"platform": []},
        {"platform": {"os": 1}},
        {"annotations": []},
        {"annotations": {"org.opencontainers.image.ref.name": 1}},
    ],
)
def test_odd_entries_raise_nothing_unplanned(root: str, store: Store, damage: dict[str, Any]) -> None:
    store.images.put(make_image(), [APP])
    write_index(root, {**index_of(root)["manifests"][0], **damage})

    store.images.records()
    store.images.find("0" * 64)
    store.check()
    store.collect_garbage(dry_run=True)
    store.images.put(make_image(cmd="other"), [OTHER])


def test_a_thousand_images_are_listed_without_opening_one(
    root: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image()
    store.images.put(image, [Reference.parse(f"app:{number}") for number in range(1000)])
    opened: list[str] = []
    really_open = open

    def spying_open(path: str, mode: str = "r") -> IO[Any]:
        opened.append(path)
        return really_open(path, mode)

    monkeypatch.setattr("builtins.open", spying_open)

    records = store.images.records()

    assert (len(records), {record.image_id for record in records}) == (1000, {image.id})
    assert opened == [os.path.join(root, "index.json")]


def test_all_images_are_read_without_looking_up_a_name(
    store: Store, blob_path: BlobPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One search a name would make a list of ten thousand take minutes."""
    whole, broken = make_image([store.layers.put(CHANGESET)]), make_image([store.layers.put(one_file(b"2"))])
    store.images.put(whole, [APP])
    store.images.put(broken, [OTHER])
    blob_path(broken.layers[0].diff_id).unlink()

    def refuse(*_: object) -> None:
        raise AssertionError("a name is looked up")

    monkeypatch.setattr("kubeimage.store.index.find_entries", refuse)

    found = store.images.read_all()

    assert [record for record, _ in found] == store.images.records()
    assert {record.reference: image for record, image in found} == {APP: whole, OTHER: None}


def test_getting_an_image_keeps_its_blobs_while_the_session_lasts(
    store: Store, another: Store, blob_path: BlobPath
) -> None:
    stored = another.layers.put(one_file(b"base"))
    image = make_image([stored])
    another.images.put(image, [APP])
    assert store.images.get(APP) == image
    another.close()

    with Store.open(store.root) as third:
        assert third.images.remove(APP) == []
        third.collect_garbage(keep_cache=False)

    assert blob_path(stored.diff_id).exists()
    store.images.put(image, [OTHER])
    assert store.images.get(OTHER) == image
