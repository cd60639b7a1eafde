"""What refers to images in registries that list it, that don't, and that lie about it."""

import io
import json

import pytest

from harness.fakes.registry import FakeRegistry, Status, WrongBytes, WrongHeader
from kubeimage.errors import RegistryContentError, RegistryError
from kubeimage.image.digest import Digest
from kubeimage.image.referrers import ReferrerChoice, cosign_tag, fallback_tag, read_referrer
from kubeimage.image.referring import FoundReferrer, read_artifact
from kubeimage.registry.referrers import RepositoryReferrers
from tests.artefacts import MANIFEST, NOTATION, SPDX, Made, cosign_artifact, oras_artifact
from tests.kubeimage.store.foreign import make_foreign, tar_of

from .conftest import REPOSITORY, Clients

IMAGE = make_foreign(tar_of({"etc/a": b"one"}))
SUBJECT = IMAGE.descriptor.digest
SBOM, SIGNATURE = oras_artifact(IMAGE.manifest), cosign_artifact(IMAGE.manifest)
NOTE = oras_artifact(SBOM.data, b"a signature of the SBOM", NOTATION)
INDEX = "application/vnd.oci.image.index.v1+json"


def publish(registry: FakeRegistry, *artefacts: Made) -> None:
    for one in artefacts:
        for data in one.blobs.values():
            registry.put_blob(REPOSITORY, data)
        registry.put_manifest(REPOSITORY, one.tag, one.data)


def list_by_tag(registry: FakeRegistry, subject: Digest, *listed: Made) -> None:
    """Put the index that clients keep where a registry lists nothing."""
    entries = [{"mediaType": MANIFEST, "digest": str(one.digest), "size": len(one.data)} for one in listed]
    data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    registry.put_manifest(REPOSITORY, fallback_tag(subject), data)


def place(clients: Clients, registry: FakeRegistry, choice: str = "all") -> RepositoryReferrers:
    return RepositoryReferrers(clients.repository(registry.host, writable=True), ReferrerChoice.parse(choice))


def found_of(made: Made) -> FoundReferrer:
    referrer, _ = read_referrer(made.data, made.subject, made.tag or "")
    return read_artifact(made.data, referrer, lambda _: b"")


def put(clients: Clients, registry: FakeRegistry, *artefacts: Made) -> None:
    for one in artefacts:
        place(clients, registry).put(found_of(one), lambda blob, one=one: io.BytesIO(one.blobs[blob.digest]))  # type: ignore[misc]


@pytest.mark.parametrize("api", [True, False])
@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("all", {SBOM.digest, SIGNATURE.digest, NOTE.digest}),
        ("none", set()),
        ("signature", {SIGNATURE.digest}),
        ("sbom", {SBOM.digest}),
        (SPDX, {SBOM.digest}),
        (f"{SPDX},{NOTATION}", {SBOM.digest, NOTE.digest}),
        ("sbom,signature", {SBOM.digest, SIGNATURE.digest, NOTE.digest}),
    ],
)
def test_what_is_wanted_is_found_by_list_and_by_tag(
    choice: str, wanted: set[Digest], api: bool, clients: Clients
) -> None:
    with FakeRegistry(referrers=api) as registry:
        publish(registry, SBOM, SIGNATURE, NOTE)
        if not api:
            list_by_tag(registry, SUBJECT, SBOM)
            list_by_tag(registry, SBOM.digest, NOTE)

        found = place(clients, registry, choice).walk([SUBJECT])

        assert {one.referrer.digest for one in found} == wanted
        assert [one.data for one in found if one.referrer.digest == SBOM.digest] == [SBOM.data] * (
            SBOM.digest in wanted
        )


@pytest.mark.parametrize("api", [True, False])
def test_what_is_put_is_found_again_with_equal_bytes(api: bool, clients: Clients) -> None:
    with FakeRegistry(referrers=api) as registry:
        put(clients, registry, SBOM, SIGNATURE, NOTE)

        there = place(clients, registry)
        found = there.walk([SUBJECT])

        assert {one.data for one in found} == {SBOM.data, SIGNATURE.data, NOTE.data}
        contents = {blob.digest: there.read_blob(blob) for one in found for blob in one.blobs}
        assert contents == {**SBOM.blobs, **SIGNATURE.blobs, **NOTE.blobs}
        assert (fallback_tag(SUBJECT) in registry.content.tags(REPOSITORY)) is not api
        assert SIGNATURE.tag in registry.content.tags(REPOSITORY)


def test_putting_twice_changes_nothing_and_loses_nothing(clients: Clients) -> None:
    with FakeRegistry(referrers=False) as registry:
        other = oras_artifact(IMAGE.manifest, b"another")
        put(clients, registry, SBOM, other, SBOM)

        listed = json.loads(registry.content.manifest(REPOSITORY, fallback_tag(SUBJECT)).data)["manifests"]

        assert [one["digest"] for one in listed] == [str(SBOM.digest), str(other.digest)]
        assert [one["artifactType"] for one in listed] == [SPDX, SPDX]


def test_signatures_that_are_there_are_not_overwritten(clients: Clients, fake_registry: FakeRegistry) -> None:
    publish(fake_registry, SIGNATURE)

    with pytest.raises(RegistryContentError, match="would be lost"):
        put(clients, fake_registry, cosign_artifact(IMAGE.manifest, content=b"another"))

    assert fake_registry.content.manifest(REPOSITORY, str(SIGNATURE.tag)).data == SIGNATURE.data


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_registry_that_knows_no_lists_is_asked_for_the_tag(
    status: int, clients: Clients, fake_registry: FakeRegistry
) -> None:
    publish(fake_registry, SBOM)
    list_by_tag(fake_registry, SUBJECT, SBOM)
    fake_registry.on("GET */referrers/*", Status(status), times=None)

    assert [one.digest for one in place(clients, fake_registry).list_referrers(SUBJECT)] == [SBOM.digest]


def test_a_registry_that_refuses_says_so(clients: Clients, fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET */referrers/*", Status(403), times=None)

    with pytest.raises(RegistryError) as caught:
        place(clients, fake_registry).list_referrers(SUBJECT)
    assert caught.value.status == 403


RUBBISH = {
    b"<html>log in</html>": "no list of",
    b"[1]": "no list of",
    b'{"schemaVersion": 2, "manifests": 1}': "no list of",
    b'{"schemaVersion": 2, "manifests": [1]}': "no list of",
    b'{"schemaVersion": 2, "manifests": [{"digest": "x"}]}': "no descriptor",
}


@pytest.mark.parametrize("listed", RUBBISH)
@pytest.mark.parametrize("api", [True, False])
def test_rubbish_is_told(listed: bytes, api: bool, clients: Clients) -> None:
    with FakeRegistry(referrers=api) as registry:
        if api:
            registry.on("GET */referrers/*", WrongBytes(listed), times=None)
        else:
            registry.put_manifest(REPOSITORY, fallback_tag(SUBJECT), listed, INDEX)
        with pytest.raises(RegistryContentError, match=RUBBISH[listed]):
            place(clients, registry).list_referrers(SUBJECT)


def test_all_pages_are_read(clients: Clients) -> None:
    many = [oras_artifact(IMAGE.manifest, b"%d" % number) for number in range(7)]
    with FakeRegistry(referrers_page=3) as registry:
        publish(registry, *many)

        found = place(clients, registry).list_referrers(SUBJECT)
        chosen = place(clients, registry, SPDX).list_referrers(SUBJECT)

        assert {one.digest for one in found} == {one.digest for one in many}
        assert chosen == found
        assert sum("/referrers/" in call for call in registry.calls()) == 6


def test_pages_have_an_end(clients: Clients, fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeimage.registry.client.MOST_REFERRERS", 3)
    link = f'</v2/{REPOSITORY}/referrers/{SUBJECT}>; rel="next"'
    publish(fake_registry, SBOM)
    fake_registry.on("GET */referrers/*", WrongHeader(link, "Link"), times=None)

    with pytest.raises(RegistryContentError, match="lists more than"):
        place(clients, fake_registry).list_referrers(SUBJECT)


@pytest.mark.parametrize("lie", ["lost", "another's", "itself", "too many"])
def test_lies_end_in_a_clear_error(lie: str, clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry(referrers=False) as registry:
        publish(registry, SBOM)
        if lie == "lost":
            list_by_tag(registry, SUBJECT, SBOM, NOTE)
            what = f"{NOTE.digest} is listed as referring to {SUBJECT}, and is not there"
        elif lie == "another's":
            publish(registry, NOTE)
            list_by_tag(registry, SUBJECT, NOTE)
            what = f"it refers to {SBOM.digest}, and is said to refer to {SUBJECT}"
        elif lie == "itself":
            publish(registry, SIGNATURE)
            registry.tag(REPOSITORY, cosign_tag(SIGNATURE.digest, "att"), SIGNATURE.digest)
            what = "refer to itself"
        else:
            list_by_tag(registry, SUBJECT, *[oras_artifact(IMAGE.manifest, b"%d" % n) for n in range(2)])
            registry.put_manifest(
                REPOSITORY, fallback_tag(SUBJECT), b'{"manifests": [' + b"{}," * 2000 + b"{}]}", INDEX
            )
            what = "no descriptor"
        with pytest.raises(RegistryContentError, match=what):
            place(clients, registry).walk([SUBJECT])
