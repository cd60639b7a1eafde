import json
from collections.abc import Callable

import pytest

from kubeimage.errors import RegistryError, SignatureError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.referrers import Referrer, cosign_tag, read_referrer
from kubeimage.signing.found import Subjects
from kubeimage.signing.judging import Identity, judge_all
from kubeimage.signing.keys import PrivateKey
from kubeimage.signing.places import find_in_any, find_signatures, sign
from kubeimage.signing.sigtag import Artifact
from tests.kubeimage.signing.made import (
    MANIFEST,
    NAME,
    SUBJECT,
    Blobs,
    bundle_manifest,
    message_bundle,
    statement,
    statement_bundle,
)

SUBJECTS = Subjects.of(MANIFEST)


class Place(Blobs):
    """A place in memory. Shape: ``meanwhile`` happens whenever signatures are put."""

    def __init__(self, meanwhile: Callable[["Place"], None] = lambda _: None) -> None:
        super().__init__()
        self.manifests: dict[Digest, tuple[Referrer, bytes]] = {}
        self._meanwhile = meanwhile

    def refer(self, data: bytes, tag: str = "") -> None:
        """List an artefact; a tag leads to the newest."""
        referrer, _ = read_referrer(data, SUBJECT, tag)
        self.manifests = {one: kept for one, kept in self.manifests.items() if not tag or kept[0].tag != tag}
        self.manifests[referrer.digest] = referrer, data

    def bundle(self, value: object) -> None:
        """List a bundle."""
        data = json.dumps(value).encode()
        self.known[Digest.of(data)] = data
        self.refer(bundle_manifest(data))

    @property
    def referrers(self) -> "Place":
        return self

    def list_referrers(self, subject: Digest) -> list[Referrer]:
        return [referrer for referrer, _ in self.manifests.values() if referrer.subject == subject]

    def read_manifest(self, digest: Digest) -> bytes:
        return self.manifests[digest][1]

    def read_blob(self, blob: Descriptor) -> bytes:
        return self.read(blob)

    def put_signatures(self, subject: Digest, artifact: Artifact, before: bytes | None) -> None:
        assert before is None or Digest.of(before) in self.manifests
        self.refer(self.add(artifact), cosign_tag(subject, "sig"))
        self._meanwhile(self)


class Down(Place):
    """A place that cannot be asked."""

    def list_referrers(self, subject: Digest) -> list[Referrer]:
        raise RegistryError(f"down: {subject}")


def signers(place: Place, *keys: PrivateKey) -> list[str]:
    verdicts = judge_all(find_signatures(place, SUBJECTS), [one.public for one in keys], SUBJECTS, Identity(None))
    return [one.key.name.rpartition("/")[2] if one.key is not None else one.reason for one in verdicts]


def test_a_signature_that_is_there_is_not_added_again(key: PrivateKey) -> None:
    place = Place()

    assert sign(place, SUBJECT, NAME, key)
    assert not sign(place, SUBJECT, NAME, key)
    assert signers(place, key) == ["key.pem"]


def test_each_signer_and_each_name_has_a_signature(key: PrivateKey, other_key: PrivateKey) -> None:
    place = Place()

    assert [sign(place, SUBJECT, name, one) for one in (key, other_key) for name in (NAME, "other")] == [True] * 4
    assert signers(place, key, other_key) == ["key.pem", "key.pem", "other.pem", "other.pem"]


def test_a_signer_who_is_overwritten_signs_again(key: PrivateKey, other_key: PrivateKey) -> None:
    other = Place()
    sign(other, SUBJECT, NAME, other_key)
    ((_, stale),) = other.manifests.values()
    times = iter([True, True])

    def overwrite(place: Place) -> None:
        if next(times, False):
            place.known |= other.known
            place.refer(stale, cosign_tag(SUBJECT, "sig"))

    place = Place(overwrite)
    sign(place, SUBJECT, NAME, key)

    assert signers(place, key, other_key) == ["other.pem", "key.pem"]


def test_a_signer_who_is_overwritten_for_ever_gives_up(key: PrivateKey) -> None:
    place = Place(lambda place: place.manifests.clear())

    with pytest.raises(SignatureError, match="no signature stays: 20 times tried"):
        sign(place, SUBJECT, NAME, key)


def test_bundles_are_found_beside_signatures_and_attestations_do_not_count(
    key: PrivateKey, other_key: PrivateKey
) -> None:
    place = Place()
    sign(place, SUBJECT, NAME, key)
    place.bundle(message_bundle(other_key))
    place.bundle(statement_bundle(other_key, statement(predicate="https://slsa.dev/provenance/v1")))

    found = signers(place, key, other_key)

    assert found[:2] == ["key.pem", "other.pem"]
    assert "it is an attestation" in found[2]


def test_more_than_can_be_meant_is_not_read(key: PrivateKey) -> None:
    place = Place()
    sign(place, SUBJECT, NAME, key)
    ((_, data),) = place.manifests.values()
    value = json.loads(data)
    (good,) = value["layers"]
    value["layers"] = [good, *({**good, "size": 4 << 20, "digest": f"sha256:{one:064x}"} for one in range(16)), good]
    place.refer(json.dumps(value).encode(), cosign_tag(SUBJECT, "sig"))

    first, *_, last = signers(place, key)

    assert first == "key.pem"
    assert "the signatures of one image have more than 64 MiB" in last


def test_a_place_that_is_down_is_passed_over_as_long_as_another_answers(key: PrivateKey) -> None:
    place = Place()
    sign(place, SUBJECT, NAME, key)

    assert len(find_in_any([Down(), place], SUBJECTS)) == 1
    with pytest.raises(RegistryError, match="down"):
        find_in_any([Down(), Down()], SUBJECTS)
