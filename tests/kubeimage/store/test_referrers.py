"""What refers to images, in a store: kept with them, and gone with them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeimage.errors import BlobCorruptError, BlobNotFoundError, ImageNotFoundError, KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Descriptor, Index
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import Referrer, ReferrerChoice
from kubeimage.layer.compression import Coding
from kubeimage.protocols.transfer import WireForm
from kubeimage.store import Store
from kubeimage.store.referrers import find_in
from tests.artefacts import NOTATION, SPDX, Made, cosign_artifact, oras_artifact
from tests.kubeimage.store.foreign import Foreign, make_foreign, make_index, tar_of

APP, OTHER = Reference.parse("app:v1"), Reference.parse("app:v2")
IMAGE = make_foreign(tar_of({"etc/a": b"one"}))
SBOM, SIGNATURE = oras_artifact(IMAGE.manifest), cosign_artifact(IMAGE.manifest)
NOTE = oras_artifact(SBOM.data, b"a signature of the SBOM", NOTATION)


def bring(store: Store, image: Foreign = IMAGE, name: Reference = APP) -> None:
    with store.importing() as importer:
        image.put_blobs(importer)
        importer.put_manifest(image.manifest)
        importer.commit(image.manifest, [name])


def add(store: Store, *artefacts: Made) -> None:
    for one in artefacts:
        store.referrers.add(one.data, one.subject, one.blobs, tag=one.tag or "")


def listed(store: Store) -> set[Digest]:
    return {one.digest for one in store.referrers.list_all()}


def test_what_is_added_is_found_by_its_subject(store: Store, another: Store) -> None:
    bring(store)
    add(store, SBOM, SIGNATURE, NOTE)

    found = another.referrers.list_referrers(IMAGE.descriptor.digest)

    assert {one.digest for one in found} == {SBOM.digest, SIGNATURE.digest}
    assert {one.tag for one in found} == {"", SIGNATURE.tag}
    assert [one.digest for one in another.referrers.list_referrers(SBOM.digest)] == [NOTE.digest]
    walked = another.referrers.walk([IMAGE.descriptor.digest])
    assert {one.data for one in walked} == {SBOM.data, SIGNATURE.data, NOTE.data}
    for one, made in ((one, made) for one in walked for made in (SBOM, SIGNATURE, NOTE) if one.data == made.data):
        assert {blob.digest: another.referrers.read_blob(blob) for blob in one.blobs} == made.blobs
    assert {one.data for one in another.referrers.walk([IMAGE.descriptor.digest], ReferrerChoice((SPDX,)))} == {
        SBOM.data
    }


def test_artefacts_are_no_images(store: Store) -> None:
    bring(store)
    add(store, SBOM, SIGNATURE)

    assert [record.reference for record in store.images.records()] == [APP]
    assert store.images.get(Reference.parse(str(SIGNATURE.tag))) is None
    with pytest.raises(ImageNotFoundError):
        store.images.remove(Reference.parse(str(SIGNATURE.tag)))
    assert [finding for finding in store.check() if finding.damage] == []


def test_artefacts_stay_as_long_as_their_image_has_a_name(store: Store) -> None:
    bring(store)
    add(store, SBOM, NOTE, SIGNATURE)
    store.images.tag(APP, OTHER)

    store.images.remove(APP)
    store.collect_garbage()
    assert listed(store) == {SBOM.digest, NOTE.digest, SIGNATURE.digest}

    gone = set(store.images.remove(OTHER))
    assert listed(store) == set()
    assert {SBOM.digest, NOTE.digest, SIGNATURE.digest, *SBOM.blobs, *SIGNATURE.blobs} <= gone


def test_prune_takes_what_refers_to_an_image_that_lost_its_name(store: Store) -> None:
    bring(store)
    add(store, SBOM, NOTE)
    bring(store, make_foreign(tar_of({"etc/b": b"two"})))

    planned = store.collect_garbage(dry_run=True)
    done = store.collect_garbage()

    assert {one.name for one in planned.items} == {one.name for one in done.items}
    assert {SBOM.digest.hex, NOTE.digest.hex} <= {one.name for one in done.items}
    assert listed(store) == set()


def test_artefacts_of_one_platform_stay_with_the_index(store: Store) -> None:
    index = make_index([("amd64", IMAGE)])
    with store.importing() as importer:
        IMAGE.put_blobs(importer)
        importer.put_manifest(IMAGE.manifest)
        importer.commit(index, [APP])
    of_index = oras_artifact(index)
    add(store, SBOM, of_index)

    store.collect_garbage()

    assert listed(store) == {SBOM.digest, of_index.digest}


def test_what_refers_to_nothing_here_is_refused(store: Store) -> None:
    bring(store)

    with pytest.raises(BlobNotFoundError, match="which is no image of the store"):
        add(store, NOTE)
    assert listed(store) == set()


def test_an_artefact_can_belong_to_an_image_that_travels_in_another_form(store: Store) -> None:
    bring(store)
    other = oras_artifact(b"the form in which it travels")

    store.referrers.add(other.data, other.subject, other.blobs, image=IMAGE.descriptor.digest)
    store.collect_garbage()

    assert [one.digest for one in store.referrers.list_referrers(other.subject)] == [other.digest]
    store.images.remove(APP)
    assert listed(store) == set()


def test_a_tag_of_cosigns_leads_to_the_newest(store: Store) -> None:
    bring(store)
    newer = cosign_artifact(IMAGE.manifest, content=b"signed twice")

    add(store, SIGNATURE, newer)

    assert listed(store) == {newer.digest}


@pytest.mark.parametrize("what", ["manifest", "blob"])
def test_a_blob_that_is_not_given_and_not_here_is_missed(what: str, store: Store) -> None:
    bring(store)
    with pytest.raises((BlobNotFoundError, BlobCorruptError)):
        if what == "blob":
            store.referrers.add(SBOM.data, SBOM.subject, {})
        else:
            store.referrers.add(b"<html>", SBOM.subject, {})
    assert listed(store) == set()


def test_who_made_an_artefact_has_no_say_in_the_list(store: Store) -> None:
    """Annotations of the manifest stand in the list too, but for those that mean something there."""
    bring(store)
    wanted = {"io.kubeimage.image.id": str(IMAGE.config.digest), "org.opencontainers.image.ref.name": "app:v1"}
    made = oras_artifact(IMAGE.manifest, annotations={**wanted, "a": "b"})

    add(store, made)

    entries = json.loads(Path(store.root, "index.json").read_bytes())["manifests"]
    annotations = next(one["annotations"] for one in entries if one["digest"] == str(made.digest))
    assert annotations == {"a": "b", "io.kubeimage.referrer.subject": str(made.subject)}


@pytest.mark.parametrize("error", [BlobNotFoundError, BlobCorruptError, ValueError])
def test_what_is_wrong_with_a_manifest_inside_an_artefact_is_told_as_it_is(error: type[Exception]) -> None:
    """One that is not here is not damaged."""
    inner = Descriptor(MEDIA_TYPE_MANIFEST, SBOM.digest, len(SBOM.data))
    image = Descriptor.of(MEDIA_TYPE_MANIFEST, IMAGE.manifest)
    outer = json.loads(Index((inner,)).to_bytes()) | {"subject": image.to_json(), "artifactType": "a/b"}
    data = json.dumps(outer).encode()
    top = Descriptor.of(MEDIA_TYPE_INDEX, data)

    def read(digest: Digest) -> bytes:
        if digest == top.digest:
            return data
        raise error("what is wrong")

    with pytest.raises(KubeimageError) as caught:
        find_in(read, Referrer(top, image.digest, "a/b"))

    assert type(caught.value) is (error if issubclass(error, KubeimageError) else BlobCorruptError)
    assert str(caught.value).endswith("what is wrong")
    assert ("is damaged" in str(caught.value)) is (error is ValueError)


def test_damage_is_found_when_it_is_read(
    store: Store, blob_path: Callable[[Digest], Path], flip: Callable[..., None]
) -> None:
    bring(store)
    add(store, SBOM)
    content = next(digest for digest, data in SBOM.blobs.items() if len(data) > 2)
    flip(blob_path(content))

    with pytest.raises(BlobCorruptError):
        store.referrers.read_blob(Descriptor("a/b", content, len(SBOM.blobs[content])))


@pytest.mark.parametrize("what", ["content", "manifest", "lost content", "lost manifest", "subject"])
def test_fsck_finds_damage_and_repairs_by_taking_it_out(
    what: str, store: Store, another: Store, blob_path: Callable[[Digest], Path], flip: Callable[..., None]
) -> None:
    bring(store)
    add(store, SBOM, SIGNATURE)
    content = next(digest for digest, data in SBOM.blobs.items() if len(data) > 2)
    damaged = SBOM.digest if "manifest" in what else content
    if what == "subject":
        index = Path(store.root, "index.json")
        index.write_text(index.read_text().replace(f'subject":"{SBOM.subject}"', 'subject":"sha256:00"', 1))
    elif "lost" in what:
        blob_path(damaged).unlink()
    else:
        flip(blob_path(damaged))

    (finding,) = [one for one in another.check() if "index.json" in str(one.where) and one.damage]
    told = another.check(repair=True)

    owner = "sha256:00" if what == "subject" else APP
    assert f", which refers to {owner}, is broken: " in finding.what
    assert "sbom" in finding.what or what == "subject"
    assert "--referrers all" in finding.advice
    assert any(one.repaired and one.lost for one in told)
    assert listed(another) < {SBOM.digest, SIGNATURE.digest}
    assert [record.reference for record in another.images.records()] == [APP]
    assert [one for one in another.check() if one.damage] == []


def test_a_list_that_is_made_anew_has_the_artefacts(store: Store, another: Store) -> None:
    bring(store)
    add(store, SBOM, SIGNATURE, NOTE)
    index = Path(store.root, "index.json")
    index.write_bytes(index.read_bytes()[:-1])

    another.check(repair=True)

    assert listed(another) == {SBOM.digest, SIGNATURE.digest, NOTE.digest}
    assert [record.reference for record in another.images.records()] == [APP]
    assert [one for one in another.check() if one.damage] == []


def test_a_content_that_looks_like_a_manifest_needs_nothing(store: Store) -> None:
    """An SBOM may hold anything, the descriptors of blobs that are not here as well."""
    bring(store)
    add(store, oras_artifact(IMAGE.manifest, make_foreign(tar_of({"etc/z": b"z"})).manifest))

    store.collect_garbage()

    assert [one for one in store.check() if one.damage] == []


@pytest.mark.parametrize(
    ("coding", "types", "going", "left"),
    [
        (None, None, {SBOM.digest, SIGNATURE.digest, NOTE.digest}, set()),
        (None, (SPDX,), {SBOM.digest}, set()),
        ("zstd", None, set(), {SBOM.digest, SIGNATURE.digest}),
        ("zstd", (SPDX,), set(), {SBOM.digest}),
    ],
)
def test_what_refers_to_another_form_stays_and_is_told(
    store: Store, coding: str | None, types: tuple[str, ...] | None, going: set[Digest], left: set[Digest]
) -> None:
    """What is sent in another form than the one that was signed has no signature."""
    bring(store)
    add(store, SBOM, SIGNATURE, NOTE)
    other = make_foreign(tar_of({"etc/b": b"two"}))
    bring(store, other, OTHER)
    add(store, oras_artifact(other.manifest))
    form = WireForm(coding=Coding.parse(coding) if coding else None, referrers=ReferrerChoice(types))

    sent = store.exporter.depart(APP, form).finish()

    assert {one.referrer.digest for one in sent.referrers} == going
    assert {one.digest for one in sent.left} == left
