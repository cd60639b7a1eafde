"""Images on their way out: compressed once, byte for byte where nothing has to change."""

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import APP, CHANGESET, OTHER, make_image, one_file
from kubeimage.disk.lastuse import last_use
from kubeimage.errors import BlobCorruptError, ImageNotFoundError
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer
from kubeimage.image.media_types import Compression, Format
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.compression import Coding
from kubeimage.protocols.transfer import WireForm, WireImage
from kubeimage.store import Store
from kubeimage.store.records import iter_pairs, record_path
from tests.kubeimage.store.foreign import make_foreign, make_index, tar_of
from tests.kubeimage.store.test_arrivals import TAR, UPPER, bring, bring_index

BlobPath = Callable[[Digest], Path]
GZIP, ZSTD, NONE = Coding("gzip"), Coding("zstd"), Coding("none")


def wire(store: Store, form: WireForm, name: Reference | Digest = APP, platform: Platform | None = None) -> WireImage:
    return store.exporter.depart(name, form, platform).finish()


def read(store: Store, descriptor: Descriptor) -> bytes:
    with store.exporter.depart(APP, WireForm()).open_blob(descriptor) as blob:
        return blob.read()


@pytest.fixture
def built(store: Store) -> Any:
    image = make_image([store.layers.put(CHANGESET), store.layers.put(one_file(b"x" * 5000))])
    store.images.put(image, [APP])
    return image


def test_an_image_of_ours_leaves_as_it_is(store: Store, built: Any) -> None:
    left = wire(store, WireForm())

    assert (left.data, left.is_index) == (built.manifest.to_bytes(), False)
    assert [one.digest for one in left.blobs] == [built.id, *(layer.diff_id for layer in built.layers)]


@pytest.mark.parametrize("coding", [GZIP, ZSTD, Coding("zstd", 7)], ids=str)
def test_layers_are_compressed_and_their_manifest_names_them(store: Store, built: Any, coding: Coding) -> None:
    left = wire(store, WireForm(coding=coding))

    manifest = json.loads(left.data)
    assert [layer["mediaType"] for layer in manifest["layers"]] == [
        f"application/vnd.oci.image.layer.v1.tar+{coding.kind}"
    ] * 2
    assert manifest["config"]["digest"] == str(built.id)
    assert store.check() == []


def test_equal_layers_give_equal_blobs_in_any_store(store: Store, built: Any, tmp_path: Path) -> None:
    first = wire(store, WireForm(coding=GZIP))
    with Store.open(str(tmp_path / "other")) as other:
        for layer in built.layers:
            with store.layers.open(layer.diff_id) as tar:
                other.layers.add(tar)
        other.images.put(built, [APP])
        second = wire(other, WireForm(coding=GZIP))

    assert first == second


def test_what_was_compressed_once_is_kept(root: str, store: Store, built: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = wire(store, WireForm(coding=GZIP))
    monkeypatch.setattr("kubeimage.layer.compression.compress", lambda *_: pytest.fail("it is compressed again"))

    with Store.open(root) as later:
        again = later.exporter.depart(APP, WireForm(coding=GZIP))
        assert (again.raw, again.finish()) == ((), first)


def test_a_layer_can_be_sent_while_it_is_compressed(store: Store, built: Any) -> None:
    departure = store.exporter.depart(APP, WireForm(coding=GZIP))
    sent = {layer: b"".join(departure.compress(layer)) for layer in departure.raw}

    assert [departure.blob_of(layer).digest for layer in sent] == [Digest.of(data) for data in sent.values()]
    assert [Digest.of(gzip.decompress(data)) for data in sent.values()] == [layer.diff_id for layer in built.layers]
    assert departure.raw == ()


def test_a_compression_that_is_given_up_leaves_nothing(root: str, store: Store, built: Any) -> None:
    departure = store.exporter.depart(APP, WireForm(coding=GZIP))
    beginning = departure.compress(departure.raw[0])
    next(beginning)
    beginning.close()

    assert len(departure.raw) == 2
    assert not Path(root, "variants").exists()


def test_compressed_layers_are_kept_with_the_image_and_go_with_it(root: str) -> None:
    with Store.open(root) as store:
        store.images.put(make_image([store.layers.put(CHANGESET)]), [APP])
        wire(store, WireForm(coding=GZIP))
    with Store.open(root) as store:
        store.collect_garbage(keep_cache=True)
        kept = len(list(Path(root, "variants").iterdir()))
        store.images.remove(APP)

    assert (kept, list(Path(root, "variants").iterdir()), list(Path(root, "blobs/sha256").iterdir())) == (1, [], [])


def test_compressed_layers_go_with_the_cache(root: str) -> None:
    with Store.open(root) as store:
        store.images.put(make_image([store.layers.put(CHANGESET)]), [APP])
        wire(store, WireForm(coding=GZIP))
    with Store.open(root) as store:
        store.collect_garbage(keep_cache=False)

        assert list(Path(root, "variants").iterdir()) == []
        assert store.check() == []


@pytest.mark.parametrize("form", ["oci", "docker"])
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_what_came_compressed_leaves_byte_for_byte(store: Store, kind: Compression, form: Format) -> None:
    foreign = make_foreign(TAR, UPPER, kind=kind, form=form)
    bring(store, foreign)

    left = wire(store, WireForm(coding=Coding(kind)))

    assert (left.data, left.top) == (foreign.manifest, foreign.descriptor)
    assert {one.digest: read(store, one) for one in left.blobs} == dict(foreign.blobs)


def test_an_index_leaves_byte_for_byte_with_what_is_there(store: Store) -> None:
    ours, theirs = make_foreign(TAR), make_foreign(UPPER, architecture="arm64")
    data = make_index([("amd64", ours), ("arm64", theirs)])
    bring_index(store, data, ours)

    left = wire(store, WireForm(coding=GZIP, only_raw=True))

    assert (left.data, left.is_index) == (data, True)
    assert [one.data for one in left.manifests] == [ours.manifest]
    assert [one.digest for one in left.absent] == [theirs.descriptor.digest]


def test_one_platform_of_an_index_leaves_as_its_manifest(store: Store) -> None:
    images = [make_foreign(TAR), make_foreign(UPPER, architecture="arm64")]
    bring_index(store, make_index([("amd64", images[0]), ("arm64", images[1])]), *images)

    left = wire(store, WireForm(), platform=Platform("linux", "arm64"))

    assert (left.data, left.is_index) == (images[1].manifest, False)


def test_only_raw_layers_are_compressed_where_that_was_asked_for(store: Store) -> None:
    bring(store, make_foreign(TAR, kind="zstd"))
    base = store.images.get(APP)
    assert base is not None
    top = store.layers.put(CHANGESET)
    store.images.put(replace(base, layers=(*base.layers, Layer(top.diff_id, top.size, "COPY", "a b"))), [OTHER])

    left = json.loads(wire(store, WireForm(coding=GZIP, only_raw=True), OTHER).data)
    forced = json.loads(wire(store, WireForm(coding=GZIP), OTHER).data)

    assert [one["mediaType"].rpartition("+")[2] for one in left["layers"]] == ["zstd", "gzip"]
    assert [one["mediaType"].rpartition("+")[2] for one in forced["layers"]] == ["gzip", "gzip"]
    assert left["layers"][0] == make_foreign(TAR, kind="zstd").layers[0].to_json()


def test_layers_leave_uncompressed_where_that_was_asked_for(store: Store) -> None:
    bring(store, make_foreign(TAR))

    left = wire(store, WireForm(coding=NONE))

    assert [read(store, one) for one in left.blobs[1:]] == [TAR]
    assert json.loads(left.data)["layers"][0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar"


def test_docker_gets_a_list_and_a_config_that_sealer_reads(store: Store, built: Any) -> None:
    left = wire(store, WireForm("docker", GZIP))

    listed = json.loads(left.data)
    manifest = json.loads(left.manifests[0].data)
    config = json.loads(read(store, left.manifests[0].blobs[0]))
    assert listed["mediaType"] == "application/vnd.docker.distribution.manifest.list.v2+json"
    assert [(one["size"], one["platform"]) for one in listed["manifests"]] == [
        (len(left.manifests[0].data), {"architecture": "amd64", "os": "linux"})
    ]
    assert manifest["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"
    assert {one["mediaType"] for one in manifest["layers"]} == {"application/vnd.docker.image.rootfs.diff.tar.gzip"}
    assert [one["id"] for one in config["spec"]["layers"]] == [str(layer.diff_id) for layer in built.layers]


def test_a_config_that_sealer_could_not_read_is_completed(store: Store) -> None:
    bring(store, make_foreign(TAR))

    left = wire(store, WireForm("docker", GZIP))

    config = json.loads(read(store, left.manifests[0].blobs[0]))
    assert config["kind"] == "Image"
    assert config["config"] == {"Env": ["A=1"]}
    assert [one["id"] for one in config["spec"]["layers"]] == config["rootfs"]["diff_ids"] == [str(Digest.of(TAR))]


def test_docker_has_no_word_for_zstd(store: Store) -> None:
    bring(store, make_foreign(TAR, kind="zstd"))

    left = json.loads(wire(store, WireForm("docker", ZSTD)).manifests[0].data)

    assert [one["mediaType"].rpartition(".")[2] for one in left["layers"]] == ["gzip"]


def test_dockers_image_becomes_ocis(store: Store) -> None:
    foreign = make_foreign(TAR, form="docker")
    bring_index(store, make_index([("amd64", foreign)], "docker"), foreign)

    left = wire(store, WireForm("oci"))

    manifest = json.loads(left.manifests[0].data)
    assert json.loads(left.data)["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert manifest["layers"][0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert (manifest["layers"][0]["digest"], manifest["config"]["digest"]) == (
        str(foreign.layers[0].digest),
        str(foreign.config.digest),
    )


def test_a_damaged_layer_does_not_leave(
    store: Store, built: Any, blob_path: BlobPath, flip: Callable[..., None]
) -> None:
    departure = store.exporter.depart(APP, WireForm(coding=GZIP))
    flip(blob_path(built.layers[1].diff_id), keep_times=True)

    with pytest.raises(BlobCorruptError):
        departure.finish()
    assert len(departure.raw) == 1


@pytest.mark.parametrize("platform", [None, Platform("linux", "s390x")])
def test_an_image_that_is_not_there_cannot_leave(store: Store, built: Any, platform: Platform | None) -> None:
    with pytest.raises(ImageNotFoundError, match="no image"):
        store.exporter.depart(OTHER if platform is None else APP, WireForm(), platform)


def test_a_manifest_and_an_index_are_found_by_their_digests(store: Store) -> None:
    images = [make_foreign(TAR), make_foreign(tar_of({"b": b""}), architecture="arm64")]
    data = make_index([("amd64", images[0]), ("arm64", images[1])])
    bring_index(store, data, *images)

    assert wire(store, WireForm(), Digest.of(data)).data == data
    assert wire(store, WireForm(), images[1].descriptor.digest).data == images[1].manifest


def test_a_layer_is_compressed_once_for_all_who_ask(store: Store, built: Any, blob_path: BlobPath) -> None:
    diff_id = built.layers[0].diff_id

    first, again = store.packer.pack(diff_id), store.packer.pack(diff_id)

    assert first == again
    assert first is not None
    layer, blob = first
    assert layer == Layer(diff_id, store.layers.size(diff_id))
    assert blob.digest != diff_id
    assert gzip.decompress(blob_path(blob.digest).read_bytes()) == blob_path(diff_id).read_bytes()
    with store.packer.open_blob(blob) as opened:
        assert opened.read() == blob_path(blob.digest).read_bytes()
    assert store.packer.pack(Digest("9" * 64)) is None


@pytest.mark.parametrize("form", [GZIP, ZSTD])
def test_who_reads_a_layer_uses_its_compressed_form(store: Store, built: Any, form: Coding) -> None:
    wire(store, WireForm(coding=form))
    pairs = [pair for pair in iter_pairs(store._layout) if pair[0] == built.layers[0].diff_id]
    (record,) = [record_path(store._layout, *pair) for pair in pairs]
    os.utime(record, (1, 1))

    store.layers.materialise(built.layers[0].diff_id)

    assert last_use(record) > 1
