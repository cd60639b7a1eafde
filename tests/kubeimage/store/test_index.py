"""Entries are found by the names in them, of which few are parsed; whatever a damaged one holds, it is looked at."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.image.canonical import JsonObject
from kubeimage.image.oci import ANNOTATION_FULL_NAME, ANNOTATION_REF_NAME, MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST
from kubeimage.image.reference import Reference
from kubeimage.store import index
from tests.kubeimage.image.test_fields import ODD, places, replaced

PARTS = st.sampled_from(["app", "my-app", "v1", "latest", "x"])
DOMAINS = st.sampled_from(["", "example.com/", "example.com/team/", "localhost:5000/"])
TAGS = st.one_of(st.just(""), PARTS.map(":{}".format))
ENDS = st.sampled_from(["", f"@sha256:{'0' * 64}", f"@sha256:{'1' * 64}"])
names = st.builds("{}{}{}{}".format, DOMAINS, PARTS, TAGS, ENDS)


@given(short=st.one_of(names, PARTS, st.just("")), full=st.one_of(names, st.just("")), wanted=names)
def test_an_entry_has_a_name_where_what_it_says_is_that_name(short: str, full: str, wanted: str) -> None:
    entry = {"annotations": {ANNOTATION_REF_NAME: short, ANNOTATION_FULL_NAME: full}}
    reference = Reference.parse(wanted)

    for one in (entry, {"annotations": {ANNOTATION_REF_NAME: wanted, ANNOTATION_FULL_NAME: full}}):
        assert index.is_named(one, reference) == (index.reference_of(one) == reference)


WANTED = Reference.parse("app:v1")
DIGEST = f"sha256:{'0' * 64}"
OURS: dict[str, JsonObject] = {
    "an image": {index.ANNOTATION_IMAGE_ID: DIGEST, ANNOTATION_REF_NAME: "app:v1", ANNOTATION_FULL_NAME: "app:v1"},
    "an index": {index.ANNOTATION_MANIFESTS: DIGEST, ANNOTATION_REF_NAME: "v1", ANNOTATION_FULL_NAME: "app:v1"},
    "an artefact": {index.ANNOTATION_SUBJECT: DIGEST},
}
LOOKS: list[Callable[[JsonObject], object]] = [
    index.has_manifests,
    index.taken_of,
    lambda entry: index.rename_entry(entry, WANTED),
    lambda entry: index.without_manifests(entry, [], []),
    index.subject_in,
    index.is_referrer,
    index.image_of,
    index.descriptor_of,
    index.image_id_of,
    index.digests_in,
    index.is_one_image,
    index.is_dangling,
    index.is_ours,
    index.problem_of,
    index.reference_of,
    index.disagreeing_name,
    lambda entry: index.find_entries([entry], WANTED),
    lambda entry: index.is_named(entry, WANTED),
]


def damaged(annotations: JsonObject) -> Iterator[JsonObject]:
    """Yield an entry with anything in place of any of its parts, and without it."""
    entry = {
        "mediaType": MEDIA_TYPE_MANIFEST,
        "digest": DIGEST,
        "size": 5,
        "platform": {"os": "linux", "architecture": "amd64"},
        "annotations": annotations,
    }
    for way in places(entry):
        if way:
            yield from (replaced(entry, way, odd) for odd in ODD)
    for field in entry:
        yield {name: value for name, value in entry.items() if name != field}
    for field in annotations:
        yield {**entry, "annotations": {name: value for name, value in annotations.items() if name != field}}


@pytest.mark.parametrize("annotations", OURS.values(), ids=OURS)
def test_whatever_a_damaged_entry_holds_it_can_be_looked_at(annotations: JsonObject) -> None:
    for entry in damaged(annotations):
        for look in LOOKS:
            look(entry)


@pytest.mark.parametrize("what", OURS)
def test_what_has_an_image_id_and_is_a_manifest_is_one_image(what: str) -> None:
    entry = {"mediaType": MEDIA_TYPE_MANIFEST, "annotations": OURS[what]}

    assert index.is_one_image(entry) is (what == "an image")
    assert not index.is_one_image({**entry, "mediaType": MEDIA_TYPE_INDEX})
