"""Nodes get what was packed, and nothing else passes for it."""

import json
from collections.abc import Callable

import pytest

from kubeimage.discovery.references import parse_image
from kubeimage.image.digest import Digest
from kubeimage.packing.layout import blob_path, layer_path, revision_path, tag_path
from kubeimage.packing.record import RECORD
from kubeimage.rehearsal.outcome import Rehearsal
from tests.containers import small_image
from tests.kubeimage.rehearsal.conftest import Files, Pack, packed, rehearse
from tests.kubeimage.store.foreign import make_index

NAME = "r.io/team/app:v1"
ONE, TWO = small_image("one", shared=["base"]), small_image("two", shared=["base"])
OTHER = small_image("other", architecture="arm64")
INDEX = make_index([("arm64", OTHER), ("amd64", ONE)])
LIST = "manifests/imageList"


def named(*names: str) -> Files:
    return {LIST: "\n".join(names).encode()}


def said(found: Rehearsal) -> list[tuple[str, str]]:
    return [(str(one.image), one.status) for one in found.images]


pytestmark = pytest.mark.usefixtures("in_process")


@pytest.mark.parametrize("index", [None, INDEX], ids=["manifest", "index"])
def test_what_was_packed_is_pulled_by_tag_and_by_digest(index: bytes | None) -> None:
    top = index if index is not None else ONE.manifest
    by_digest = f"r.io/team/app@{Digest.of(top)}"
    both = f"{NAME}@{Digest.of(top)}"

    found = rehearse({**named(NAME, by_digest, both), **packed(Pack(NAME, ONE, index))})

    assert said(found) == [(NAME, "pulled"), (both, "pulled"), (by_digest, "pulled")]
    assert found.is_complete
    assert {one.pulled.digest for one in found.images} == {Digest.of(top)}
    documents = sum(map(len, {top, ONE.manifest}))
    assert found.images[0].pulled.size == documents + ONE.config.size + sum(layer.size for layer in ONE.layers)


def test_each_image_says_where_it_is_named() -> None:
    pod = f"kind: Pod\nspec:\n  containers:\n  - image: {NAME}\n".encode()

    found = rehearse({**named(NAME), "manifests/pod.yaml": pod, **packed(Pack(NAME, ONE), Pack("r.io/more:1", TWO))})

    more, app = found.images
    assert [str(place) for place in app.places] == [
        "manifests/imageList: line 1",
        "manifests/pod.yaml: spec.containers[0].image",
    ]
    assert [str(place) for place in more.places] == [RECORD]


def test_a_node_would_ask_the_internet_for_what_is_not_packed() -> None:
    found = rehearse({**named(NAME, "quay.io/more/app:v2", "nginx"), **packed(Pack(NAME, ONE))})

    assert [(str(one.image), one.status, one.asked_host, one.pulled.what) for one in found.images] == [
        ("docker.io/library/nginx:latest", "missing", "docker.io", "the tag latest is not packed"),
        ("quay.io/more/app:v2", "missing", "quay.io", "the tag v2 is not packed"),
        (NAME, "pulled", None, ""),
    ]
    assert not found.is_complete


def test_an_image_without_anything_packed_asks_for_everything() -> None:
    found = rehearse(named(NAME))

    assert said(found) == [(NAME, "missing")]


def test_an_image_that_names_nothing_is_complete() -> None:
    found = rehearse({"manifests/empty.yaml": b"a: 1\n"})

    assert (found.images, found.is_complete, found.why_together) == ((), True, None)


def drop(files: Files, path: str) -> None:
    del files[path]


def change(files: Files, path: str) -> None:
    files[path] = bytes([files[path][0] ^ 1]) + files[path][1:]


def cut(files: Files, path: str) -> None:
    files[path] = files[path][:-1]


PARTS = {
    "tag": tag_path(parse_image(NAME)),
    "link to the index": revision_path(parse_image(NAME), Digest.of(INDEX)),
    "link to the manifest": revision_path(parse_image(NAME), Digest.of(ONE.manifest)),
    "link to the config": layer_path(parse_image(NAME), ONE.config.digest),
    "link to a layer": layer_path(parse_image(NAME), ONE.layers[-1].digest),
    "index": blob_path(Digest.of(INDEX)),
    "manifest": blob_path(Digest.of(ONE.manifest)),
    "config": blob_path(ONE.config.digest),
    "layer": blob_path(ONE.layers[0].digest),
}


@pytest.mark.parametrize("damage", [drop, change, cut])
@pytest.mark.parametrize("part", PARTS)
def test_any_part_that_is_gone_or_damaged_is_noticed(part: str, damage: Callable[[Files, str], None]) -> None:
    files = packed(Pack(NAME, ONE, INDEX))

    damage(files, PARTS[part])

    (image,) = rehearse({**named(NAME), **files}).images
    bytes_are_wrong = damage is not drop and "link" not in part and part != "tag"
    assert image.status == ("damaged" if bytes_are_wrong else "missing")
    assert image.pulled.what


def test_a_layer_that_two_images_share_is_asked_for_in_both_repositories() -> None:
    files = packed(Pack(NAME, ONE), Pack("r.io/team/two:v1", TWO))
    del files[layer_path(parse_image("r.io/team/two:v1"), TWO.layers[0].digest)]

    found = rehearse(files)

    assert said(found) == [(NAME, "pulled"), ("r.io/team/two:v1", "missing")]


def test_an_index_without_the_platform_and_an_image_for_another_one_are_refused() -> None:
    lies = make_index([("amd64", OTHER)])
    lacks = make_index([("arm64", OTHER)])

    found = rehearse(packed(Pack("r.io/a/lies:v1", OTHER, lies), Pack("r.io/b/lacks:v1", OTHER, lacks)))

    assert [(one.status, one.pulled.what) for one in found.images] == [
        ("damaged", "it is for linux/arm64, not for linux/amd64"),
        ("damaged", f"the index {Digest.of(lacks)} has nothing for linux/amd64"),
    ]


def test_an_image_of_another_host_does_not_answer() -> None:
    found = rehearse({**named("x.io/team/app:v1"), **packed(Pack(NAME, ONE))})

    other, own = found.images[1], found.images[0]
    assert (own.status, other.status) == ("pulled", "other")
    assert other.pulled.what == f"{NAME} would answer for it"


def test_of_two_hosts_images_the_one_whose_digest_was_packed_is_the_one() -> None:
    files = packed(Pack(NAME, ONE), Pack("x.io/team/app:v1", TWO))

    own, other = rehearse(files).images

    # The second stands where the first stood: one path, one tag.
    assert (own.status, own.pulled.what) == ("other", "x.io/team/app:v1 would answer for it")
    assert other.status == "pulled"


def test_two_hosts_with_one_image_may_share_it() -> None:
    found = rehearse(packed(Pack(NAME, ONE), Pack("x.io/team/app:v1", ONE)))

    assert found.is_complete


def test_a_tag_that_leads_elsewhere_than_it_was_packed_is_refused() -> None:
    files = packed(Pack("r.io/team/app:v2", TWO), Pack(NAME, ONE))
    files[tag_path(parse_image(NAME))] = str(Digest.of(TWO.manifest)).encode()

    found = rehearse(files)

    assert [one.status for one in found.images] == ["damaged", "pulled"]
    one, two = Digest.of(ONE.manifest), Digest.of(TWO.manifest)
    assert found.images[0].pulled.what == f"its tag leads to {two}, and {one} was packed"


def test_without_a_record_two_hosts_cannot_share_a_name() -> None:
    files = packed(Pack(NAME, ONE), recorded=False)

    alone = rehearse({**named(NAME), **files})
    two = rehearse({**named(NAME, "x.io/team/app:v1"), **files})

    assert said(alone) == [(NAME, "pulled")]
    assert [one.pulled.what for one in two.images] == [
        "nothing says whose it is: x.io/team/app:v1 has the same name",
        f"nothing says whose it is: {NAME} has the same name",
    ]


def test_what_certainly_is_a_name_and_cannot_be_read_makes_it_incomplete() -> None:
    found = rehearse({**named(NAME, "Nginx:1"), **packed(Pack(NAME, ONE))})

    assert [one.text for one in found.unreadable] == ["Nginx:1"]
    assert not found.is_complete


def test_a_layer_that_has_vanished_from_the_packed_image_does_not_hide_in_the_record() -> None:
    files = packed(Pack(NAME, ONE))
    record = json.loads(files[RECORD])
    record["images"].append({"name": "r.io/gone:v1", "digest": str(Digest.of(b"gone"))})
    files[RECORD] = json.dumps(record).encode()

    assert said(rehearse(files)) == [("r.io/gone:v1", "missing"), (NAME, "pulled")]


@pytest.mark.parametrize("top", [INDEX, ONE.manifest], ids=["index", "manifest"])
def test_a_manifest_with_other_bytes_and_the_same_meaning_is_refused(top: bytes) -> None:
    files = packed(Pack(NAME, ONE, INDEX))
    files[blob_path(Digest.of(top))] += b"\n"

    (image,) = rehearse(files).images

    assert image.status == "damaged"
    assert f"the manifest {Digest.of(top)} has other bytes" in image.pulled.what
