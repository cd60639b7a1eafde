"""Images from elsewhere: kept byte for byte, verified first, and shown all at once."""

import itertools
import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contracts import APP, OTHER
from kubeimage.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    KubeimageError,
    LayerFormatError,
    LayerLimitError,
    LayerTooLargeError,
    PlatformMismatchError,
    StoreError,
)
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer
from kubeimage.image.media_types import INDEX, Compression, Format
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.protocols.transfer import Arrival, Budget, Importer
from kubeimage.store import Store, arrivals
from tests.kubeimage.store.foreign import Foreign, make_foreign, make_index, pack, tar_of

BlobPath = Callable[[Digest], Path]

TAR = tar_of({"etc/a": b"one\n"})
UPPER = tar_of({"bin/tool": b"#!/bin/sh\n" * 500})
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def bring(store: Store, image: Foreign, *references: Any, budget: Budget | None = None) -> Arrival:
    with store.importing(budget) as importer:
        image.put_blobs(importer)
        return importer.commit(image.manifest, references or (APP,))


def bring_index(store: Store, data: bytes, *images: Foreign) -> Arrival:
    with store.importing() as importer:
        for image in images:
            image.put_blobs(importer)
            importer.put_manifest(image.manifest)
        return importer.commit(data, [APP])


@pytest.mark.parametrize("form", ["oci", "docker"])
@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_an_image_is_kept_byte_for_byte(store: Store, blob_path: BlobPath, kind: Compression, form: Format) -> None:
    foreign = make_foreign(TAR, UPPER, kind=kind, form=form)

    arrival = bring(store, foreign)

    expected = {**foreign.blobs, foreign.descriptor.digest: foreign.manifest}
    assert {digest: blob_path(digest).read_bytes() for digest in expected} == expected
    assert arrival.images == ((AMD64, foreign.descriptor.digest, foreign.config.digest),)
    assert store.check() == []


@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_its_layers_are_known_by_their_tars(store: Store, kind: Compression) -> None:
    bring(store, make_foreign(TAR, UPPER, kind=kind))

    image = store.images.get(APP)

    assert image is not None
    assert image.layers == (Layer(Digest.of(TAR), len(TAR)), Layer(Digest.of(UPPER), len(UPPER)))
    assert [entry.path for entry in store.layers.entries(Digest.of(UPPER))] == ["bin/tool"]
    with store.layers.open(Digest.of(TAR)) as tar:
        assert tar.read() == TAR


def test_a_working_session_keeps_the_tar_that_it_needed_and_one_that_looks_does_not(
    root: str, store: Store, blob_path: BlobPath
) -> None:
    bring(store, make_foreign(TAR))

    with Store.open(root, create=False) as looking, looking.layers.open(Digest.of(TAR)) as tar:
        assert tar.read() == TAR
    assert not blob_path(Digest.of(TAR)).exists()
    store.layers.open(Digest.of(TAR)).close()
    assert blob_path(Digest.of(TAR)).read_bytes() == TAR


def test_nothing_is_an_image_before_the_commit(root: str, store: Store) -> None:
    foreign = make_foreign(TAR)

    with store.importing() as importer:
        foreign.put_blobs(importer)
        importer.put_manifest(foreign.manifest)
        during = store.images.records()

    assert (during, store.images.records(), os.listdir(f"{root}/blobs/sha256") != []) == ([], [], True)


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_another_name_for_an_image_that_came_changes_no_byte_of_it(store: Store, form: Format) -> None:
    bring(store, make_foreign(TAR, UPPER, kind="gzip", form=form))
    image = store.images.get(APP)
    assert image is not None

    store.images.put(image, [OTHER])

    first, second = (store.list_platforms(name) for name in (APP, OTHER))
    assert first == second is not None


def test_what_came_before_a_failure_need_not_come_again(store: Store) -> None:
    foreign = make_foreign(TAR, UPPER)
    with pytest.raises(BlobNotFoundError), store.importing() as importer:
        importer.put_blob(foreign.layers[0], [foreign.blobs[foreign.layers[0].digest]])
        importer.commit(foreign.manifest, [APP])

    with store.importing() as importer:
        assert [importer.has_blob(one) for one in foreign.layers] == [True, False]
    assert store.images.records() == []


def flipped(data: bytes) -> bytes:
    return data[:20] + bytes([data[20] ^ 1]) + data[21:]


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        pytest.param(flipped, "was asked for", id="another content"),
        pytest.param(lambda data: data[:-1], "ended after", id="too short"),
        pytest.param(lambda data: data + b"x", "more than its", id="too long"),
        pytest.param(lambda _data: b"", "ended after 0 of", id="empty"),
    ],
)
@pytest.mark.parametrize("kind", ["none", "gzip"])
def test_a_blob_that_is_not_what_was_described_is_refused(
    root: str, store: Store, spoil: Callable[[bytes], bytes], expected: str, kind: Compression
) -> None:
    layer = make_foreign(TAR, kind=kind).layers[0]
    data = pack(TAR, kind)

    with (
        pytest.raises((BlobCorruptError, LayerFormatError), match=f"{expected}|damaged"),
        store.importing() as importer,
    ):
        importer.put_blob(layer, [spoil(data)])

    assert os.listdir(f"{root}/blobs/sha256") == []
    assert store.images.records() == []


def test_an_endless_blob_is_refused_before_it_ends(store: Store) -> None:
    layer = make_foreign(TAR).layers[0]

    def endless() -> Any:
        while True:
            yield b"\0" * (1 << 20)

    with pytest.raises((BlobCorruptError, LayerFormatError)), store.importing() as importer:
        importer.put_blob(layer, endless())


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        pytest.param(Budget(layer=1 << 20), "1048576 bytes", id="absolute"),
        pytest.param(Budget(free=1 << 16, expansion=10), "uncompressed", id="for its size"),
        pytest.param(Budget(total=1 << 20), "1048576 bytes", id="together"),
    ],
)
def test_a_bomb_is_refused(root: str, store: Store, kind: Compression, budget: Budget, expected: str) -> None:
    bomb = make_foreign(bytes(8 << 20), kind=kind)

    with pytest.raises(LayerTooLargeError, match=expected):
        bring(store, bomb, budget=budget)

    assert os.listdir(f"{root}/ingest") == [store._session.name]
    assert store.images.records() == []


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_compressed_data_that_are_damaged_are_refused(store: Store, kind: Compression) -> None:
    data = pack(UPPER, kind)[:12] + b"\xff" * 40
    layer = Descriptor.of(make_foreign(TAR, kind=kind).layers[0].media_type, data)

    with pytest.raises(LayerFormatError, match=kind), store.importing() as importer:
        importer.put_blob(layer, [data])


def test_a_layer_that_was_cut_off_where_it_came_from_is_refused(store: Store) -> None:
    whole = make_foreign(UPPER, kind="zstd")
    cut = pack(UPPER, "zstd")[:-4]
    layer = Descriptor.of(whole.layers[0].media_type, cut)
    manifest = whole.manifest.replace(str(whole.layers[0].digest).encode(), str(layer.digest).encode())
    manifest = manifest.replace(f'"size": {whole.layers[0].size}'.encode(), f'"size": {layer.size}'.encode())

    with pytest.raises((BlobCorruptError, LayerFormatError)):
        bring(store, replace(whole, manifest=manifest, layers=(layer,), blobs={**whole.blobs, layer.digest: cut}))


def test_a_config_that_names_other_layers_is_refused(store: Store) -> None:
    lying = make_foreign(TAR, config={"rootfs": {"type": "layers", "diff_ids": [str(Digest.of(UPPER))]}})

    with pytest.raises(BlobCorruptError, match="are not the manifest's layers"):
        bring(store, lying)

    assert store.images.records() == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{", "no image manifest"),
        (b"[]", "JSON object"),
        (b'{"schemaVersion": 2}', "neither"),
        (b'{"schemaVersion": 2, "manifests": [], "layers": []}', "both"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "schema 1"),
        (b'{"schemaVersion": 2, "config": {}, "layers": []}', "no image manifest"),
        (b'{"schemaVersion": 2, "manifests": []}', "none of the images"),
        (b'{"schemaVersion": 2, "mediaType": "text/plain", "manifests": []}', "text/plain"),
        (b" " * (9 << 20), "larger than"),
        (b"[" * 200_000, "no image manifest"),
    ],
    ids=["broken", "list", "nothing", "both", "schema 1", "empty config", "empty index", "type", "huge", "deep"],
)
def test_what_is_no_manifest_is_refused(store: Store, data: bytes, expected: str) -> None:
    with pytest.raises((BlobCorruptError, BlobNotFoundError), match=expected), store.importing() as importer:
        importer.commit(data, [APP])


def test_an_image_with_too_many_layers_is_refused(store: Store) -> None:
    with pytest.raises(LayerLimitError, match="129 layers"):
        bring(store, make_foreign(*[tar_of({f"{number}": b""}) for number in range(129)], kind="none"))


def test_an_index_is_kept_with_those_of_its_images_that_came(store: Store, blob_path: BlobPath) -> None:
    ours, theirs = make_foreign(TAR), make_foreign(UPPER, architecture="arm64")
    attested = {
        **Descriptor.of(ours.media_type, b"attestation").to_json(),
        "platform": {"architecture": "unknown", "os": "unknown"},
    }
    data = make_index([("amd64", ours), ("arm64", theirs)], extra=[attested])

    arrival = bring_index(store, data, ours)

    assert blob_path(Digest.of(data)).read_bytes() == data
    assert [one.digest for one in arrival.absent] == [theirs.descriptor.digest, Digest.of(b"attestation")]
    assert [(one.platform, one.image_id) for one in store.images.records()] == [(AMD64, ours.config.digest)]
    assert store.images.get(APP, ARM64) is None
    assert store.check() == []


def nest(*listed: tuple[bytes, Mapping[str, Any] | None]) -> bytes:
    """Make an index of indexes, each with its platform or none."""
    described = [
        {**Descriptor.of(INDEX, data).to_json(), **({"platform": platform} if platform else {})}
        for data, platform in listed
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": described}).encode()


NESTINGS: dict[str, Callable[[Foreign, Foreign], tuple[bytes, list[bytes]]]] = {
    "one in another": lambda ours, theirs: _nested_once(make_index([("amd64", ours), ("arm64", theirs)])),
    "one for each platform": lambda ours, theirs: _nested_each(
        (make_index([("amd64", ours)]), {"os": "linux", "architecture": "amd64"}),
        (make_index([("arm64", theirs)]), {"os": "linux", "architecture": "arm64"}),
    ),
    "three deep": lambda ours, theirs: _nested_twice(make_index([("amd64", ours), ("arm64", theirs)])),
}


def _nested_once(inner: bytes) -> tuple[bytes, list[bytes]]:
    return nest((inner, None)), [inner]


def _nested_twice(inner: bytes) -> tuple[bytes, list[bytes]]:
    outer = nest((inner, None))
    return nest((outer, None)), [inner, outer]


def _nested_each(*listed: tuple[bytes, Mapping[str, Any]]) -> tuple[bytes, list[bytes]]:
    return nest(*listed), [inner for inner, _ in listed]


@pytest.mark.parametrize("nesting", NESTINGS.values(), ids=NESTINGS)
def test_indexes_inside_an_index_are_followed(
    store: Store, blob_path: BlobPath, nesting: Callable[[Foreign, Foreign], tuple[bytes, list[bytes]]]
) -> None:
    ours, theirs = make_foreign(TAR), make_foreign(UPPER, architecture="arm64")
    top, inner = nesting(ours, theirs)
    with store.importing() as importer:
        for data in inner:
            importer.put_manifest(data)
        for image in (ours, theirs):
            image.put_blobs(importer)
            importer.put_manifest(image.manifest)
        arrival = importer.commit(top, [APP])

    assert {platform for platform, _, _ in arrival.images} == {AMD64, ARM64}
    assert [str(one.platform) for one in store.images.records()] == ["linux/amd64", "linux/arm64"]
    assert store.check() == []
    store.collect_garbage()
    assert all(blob_path(Digest.of(data)).read_bytes() == data for data in (top, *inner))
    store.images.remove(APP)
    store.collect_garbage(keep_cache=False)
    assert not any(blob_path(Digest.of(data)).exists() for data in (top, *inner, ours.manifest))


def test_one_platform_of_an_index_inside_an_index_can_come_alone(store: Store) -> None:
    ours, theirs = make_foreign(TAR), make_foreign(UPPER, architecture="arm64")
    top, (inner,) = _nested_once(make_index([("amd64", ours), ("arm64", theirs)]))
    with store.importing() as importer:
        importer.put_manifest(inner)
        ours.put_blobs(importer)
        importer.put_manifest(ours.manifest)
        arrival = importer.commit(top, [APP])

    assert [one.digest for one in arrival.absent] == [theirs.descriptor.digest]
    assert [str(one.platform) for one in store.images.records()] == ["linux/amd64"]
    assert store.check() == []


def test_indexes_that_stand_in_one_another_too_deep_are_refused(store: Store) -> None:
    data = make_index([("amd64", make_foreign(TAR))])
    with pytest.raises(BlobCorruptError, match="stand in one another"), store.importing() as importer:
        for _ in range(6):
            importer.put_manifest(data)
            data = nest((data, None))
        importer.commit(data, [APP])


def test_a_platform_that_comes_later_joins_those_that_are_there(store: Store) -> None:
    ours, theirs = make_foreign(TAR), make_foreign(UPPER, architecture="arm64")
    data = make_index([("amd64", ours), ("arm64", theirs)])
    bring_index(store, data, ours)

    arrival = bring_index(store, data, theirs)

    assert [one.platform for one in store.images.records()] == [AMD64, ARM64]
    assert (len(arrival.images), arrival.absent) == (2, ())
    assert store.check() == []


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"{}")], ids=["missing", "damaged"])
def test_an_index_that_comes_again_replaces_the_one_that_is_lost(
    store: Store, blob_path: BlobPath, harm: Callable[[Path], object]
) -> None:
    ours, theirs = make_foreign(TAR), make_foreign(UPPER, architecture="arm64")
    data = make_index([("amd64", ours), ("arm64", theirs)])
    path = blob_path(bring_index(store, data, ours).top.digest)
    path.chmod(0o644)
    harm(path)

    bring_index(store, data, theirs)

    assert [one.platform for one in store.images.records()] == [AMD64, ARM64]
    assert store.check() == []


def test_what_is_damaged_does_not_join(store: Store, blob_path: BlobPath, flip: Callable[[Path], None]) -> None:
    ours, theirs = make_foreign(TAR), make_foreign(UPPER, architecture="arm64")
    data = make_index([("amd64", ours), ("arm64", theirs)])
    bring_index(store, data, ours)
    flip(blob_path(ours.layers[0].digest))

    arrival = bring_index(store, data, theirs)

    assert [platform for platform, _, _ in arrival.images] == [ARM64]
    assert [one.digest for one in arrival.absent] == [ours.descriptor.digest]


def test_a_list_with_wrong_sizes_is_taken_by_its_digests(store: Store) -> None:
    ours = make_foreign(TAR, form="docker")
    data = make_index([("amd64", ours)], "docker").replace(f'"size": {len(ours.manifest)}'.encode(), b'"size": 7')

    arrival = bring_index(store, data, ours)

    assert "has 7 bytes" in arrival.warnings[0]
    assert store.images.get(APP) is not None
    assert store.check() == []


def test_an_image_for_another_machine_than_the_index_says_is_refused(store: Store) -> None:
    ours = make_foreign(TAR, architecture="arm64")

    with pytest.raises(PlatformMismatchError, match="linux/arm64"):
        bring_index(store, make_index([("amd64", ours)]), ours)

    assert store.images.records() == []


def test_diff_ids_come_from_the_bytes_where_a_config_has_none(store: Store) -> None:
    document = {"kind": "Image", "spec": {"layers": [{"id": str(Digest.of(b"wrong")), "type": "COPY", "value": ". ."}]}}
    foreign = make_foreign(TAR, form="docker", config={**document, "rootfs": None})
    bare = foreign.blobs[foreign.config.digest].replace(b'"rootfs"', b'"r"')
    config = Descriptor.of(foreign.config.media_type, bare)
    manifest = foreign.manifest.replace(str(foreign.config.digest).encode(), str(config.digest).encode())
    manifest = manifest.replace(f'"size": {foreign.config.size}'.encode(), f'"size": {config.size}'.encode())

    bring(store, replace(foreign, manifest=manifest, config=config, blobs={**foreign.blobs, config.digest: bare}))

    image = store.images.get(APP)
    assert image is not None
    assert [(one.diff_id, one.kind, one.value) for one in image.layers] == [(Digest.of(TAR), "COPY", ". .")]


def test_blobs_come_in_several_threads_at_once(store: Store) -> None:
    foreign = make_foreign(*[tar_of({f"{number}": os.urandom(300_000)}) for number in range(8)])
    failures: list[KubeimageError] = []

    def put(importer: Importer, layer: Descriptor) -> None:
        try:
            importer.put_blob(layer, [foreign.blobs[layer.digest]])
        except KubeimageError as error:
            failures.append(error)

    with store.importing() as importer:
        threads = [threading.Thread(target=put, args=(importer, layer)) for layer in foreign.layers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        importer.put_blob(foreign.config, [foreign.blobs[foreign.config.digest]])
        importer.commit(foreign.manifest, [APP])

    assert failures == []
    assert store.check() == []


def test_who_is_killed_before_the_commit_leaves_no_image(
    root: str, in_a_killed_child: Callable[[Callable[[], object]], None]
) -> None:
    foreign = make_foreign(TAR, UPPER)

    def bring_half() -> None:
        store = Store.open(root)
        with store.importing() as importer:
            importer.put_blob(foreign.layers[0], [foreign.blobs[foreign.layers[0].digest]])
            os.kill(os.getpid(), signal.SIGKILL)

    in_a_killed_child(bring_half)

    with Store.open(root) as store:
        assert ([one.damage for one in store.check() if one.damage], store.images.records()) == ([], [])
        store.collect_garbage(keep_cache=False)
        assert (os.listdir(f"{root}/blobs/sha256"), os.listdir(f"{root}/variants")) == ([], [])
        bring(store, foreign)


def test_a_prune_beside_it_takes_nothing_away(store: Store, another: Store) -> None:
    foreign = make_foreign(TAR, UPPER)

    with store.importing() as importer:
        foreign.put_blobs(importer)
        another.collect_garbage(keep_cache=False)
        importer.commit(foreign.manifest, [APP])
    another.collect_garbage(keep_cache=False)

    assert store.check() == []


def test_removing_an_image_removes_all_forms_of_its_layers(root: str) -> None:
    with Store.open(root) as store:
        bring(store, make_foreign(TAR, UPPER))
        store.layers.materialise(Digest.of(TAR))
        bring(store, make_foreign(UPPER, kind="zstd"), OTHER)

    with Store.open(root) as later:
        later.images.remove(APP)
        kept = sorted(os.listdir(f"{root}/variants"))
        later.images.remove(OTHER)

    assert [name.partition(".")[0] for name in kept] == [Digest.of(UPPER).hex] * 2
    assert (os.listdir(f"{root}/blobs/sha256"), os.listdir(f"{root}/variants")) == ([], [])


def test_a_lost_record_is_found_out_again(root: str, store: Store) -> None:
    bring(store, make_foreign(TAR))
    (record,) = Path(root, "variants").iterdir()
    written = record.read_bytes()
    record.write_bytes(written[:9])

    with Store.open(root) as later:
        findings = [one.what for one in later.check()]
        image = later.images.get(APP)

    assert image is not None
    assert image.layers[0].diff_id == Digest.of(TAR)
    assert record.read_bytes() == written
    assert len(findings) == 1


def test_fsck_finds_a_record_that_lies(root: str, store: Store) -> None:
    bring(store, make_foreign(TAR))
    (record,) = Path(root, "variants").iterdir()
    wrong = Digest.of(b"wrong")
    lie = record.with_name(f"{wrong.hex}.{record.name.partition('.')[2]}")
    lie.write_bytes(record.read_bytes().replace(Digest.of(TAR).hex.encode(), wrong.hex.encode()))

    found = store.check(repair=True)

    assert [(one.damage, one.repaired) for one in found] == [(True, True)]
    assert store.check() == []


def test_fsck_finds_a_damaged_compressed_layer(store: Store, blob_path: BlobPath, flip: Callable[[Path], None]) -> None:
    foreign = make_foreign(TAR)
    bring(store, foreign)
    flip(blob_path(foreign.layers[0].digest))

    assert [one.damage for one in store.check()] == [True, True]
    with pytest.raises(KubeimageError):
        store.images.get(APP)


def test_an_image_of_something_else_is_refused(store: Store) -> None:
    chart = make_foreign(TAR)
    manifest = chart.manifest.replace(b"image.layer.v1.tar+gzip", b"helm.chart.content.v1.tar+gzip")

    with pytest.raises(StoreError, match="helm"), store.importing() as importer:
        chart.put_blobs(importer)
        importer.commit(manifest, [APP])


@given(st.lists(st.binary(max_size=24), max_size=12))
def test_not_a_byte_is_lost_and_no_piece_is_needlessly_small(chunks: list[bytes]) -> None:
    piece_size = 8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrivals, "PIECE", piece_size)
        pieces = list(arrivals._regroup(chunks))

    assert b"".join(pieces) == b"".join(chunks)
    assert all(len(piece) >= piece_size for piece in pieces[:-1])
    assert all(pieces)
    longest = max(map(len, chunks), default=0)
    assert all(len(piece) < piece_size + longest for piece in pieces)


@pytest.mark.parametrize("more", [1, -1])
@pytest.mark.parametrize("what", ["config", "layer"])
def test_a_manifest_that_gives_another_size_is_refused_with_both(store: Store, what: str, more: int) -> None:
    image = make_foreign(TAR)
    value = json.loads(image.manifest)
    told = value["config"] if what == "config" else value["layers"][0]
    size = told["size"]
    told["size"] += more

    with store.importing() as importer:
        image.put_blobs(importer)
        with pytest.raises(BlobCorruptError, match=f"has {size} bytes where {size + more} are recorded"):
            importer.put_manifest(json.dumps(value).encode())
            importer.commit(json.dumps(value).encode(), [APP])


def test_neither_of_two_blobs_comes_for_the_other(store: Store) -> None:
    contents = [bytes([number]) * 512 for number in range(6)]

    for one, other in itertools.permutations(contents, 2):
        with pytest.raises(BlobCorruptError, match="was asked for"), store.importing() as importer:
            importer.put_blob(Descriptor.of("application/octet-stream", one), [other])
