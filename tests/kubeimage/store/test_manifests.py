"""What a manifest of any kind needs, whatever else stands in it."""

import json
from itertools import permutations
from typing import Any, cast

import pytest

from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEXES
from kubeimage.image.oci import Descriptor
from kubeimage.store.blobs import Blobs
from kubeimage.store.manifests import LARGEST_MANIFEST, blobs_of

NO_DESCRIPTORS: list[Any] = [{"digest": "sha256:0"}, None, {"mediaType": 1, "digest": str(Digest("a" * 64)), "size": 1}]
KINDS = ["layers", "blobs", "manifests"]


class Documents:
    """Blobs in memory."""

    def __init__(self) -> None:
        self._known: dict[Digest, bytes] = {}

    def add(self, value: object, media_type: str = "application/unknown") -> Descriptor:
        data = json.dumps(value).encode()
        self._known[Digest.of(data)] = data
        return Descriptor.of(media_type, data)

    def read(self, digest: Digest, size: int) -> bytes:
        assert len(self._known[digest]) == size
        return self._known[digest]

    def size(self, digest: Digest) -> int:
        return len(self._known[digest])


def needs(documents: Documents, top: Descriptor) -> set[Digest]:
    return {one.digest for one in blobs_of(cast("Blobs", documents), top)} - {top.digest}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", NO_DESCRIPTORS, ids=range(len(NO_DESCRIPTORS)))
def test_what_is_no_descriptor_hides_none_of_the_others(kind: str, bad: Any) -> None:
    documents = Documents()
    good = [documents.add(number, "text/plain") for number in range(2)]

    for order in permutations([bad, *(one.to_json() for one in good)]):
        assert needs(documents, documents.add({kind: order})) == {one.digest for one in good}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_needed_is_followed_however_deep_it_stands(kind: str) -> None:
    documents = Documents()
    inner = documents.add("leaf", "text/plain")
    middle = documents.add({kind: [inner.to_json()]})
    top = documents.add({"config": middle.to_json()}, min(INDEXES))

    assert needs(documents, top) == {middle.digest, inner.digest}


@pytest.mark.parametrize(("more", "is_read"), [(0, True), (1, False)])
def test_a_blob_of_an_unknown_type_is_read_up_to_a_manifest_s_size(more: int, is_read: bool) -> None:
    documents = Documents()
    leaf = documents.add("leaf", "text/plain")
    value = {"config": leaf.to_json(), "x": ""}
    value["x"] = "x" * (LARGEST_MANIFEST + more - len(json.dumps(value)))

    assert needs(documents, documents.add(value)) == ({leaf.digest} if is_read else set())
