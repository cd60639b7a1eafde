import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from kubeimage.image.digest import Digest
from kubeimage.signing.bundle import authenticated_encoding, read_bundle, read_bundle_manifest
from kubeimage.signing.found import Subjects
from kubeimage.signing.judging import NOT_CHECKED, Identity, judge
from kubeimage.signing.keys import PrivateKey, read_public_key
from tests.kubeimage.signing.made import (
    INDEX,
    MANIFEST,
    SUBJECT,
    Blobs,
    bundle_manifest,
    message_bundle,
    statement,
    statement_bundle,
)

SUBJECTS = Subjects.of(MANIFEST)
FIXTURES = Path(__file__).parents[3] / "fixtures/signatures"
ANY = Identity(None, "any")


def problem_of(value: dict[str, Any]) -> str:
    return read_bundle(json.dumps(value).encode(), SUBJECTS).problem


@pytest.mark.parametrize("make", [message_bundle, statement_bundle])
def test_a_bundle_is_checked_by_its_key(make: Any, key: PrivateKey, other_key: PrivateKey) -> None:
    data = json.dumps(make(key)).encode()
    (found,) = read_bundle_manifest(bundle_manifest(data), SUBJECTS, Blobs([data]).read)

    good, bad = (judge(found, [one.public], SUBJECTS, ANY) for one in (key, other_key))

    assert good.key == key.public
    assert good.digest == SUBJECT
    assert bad.key is None
    assert bad.reason.startswith("it is by another key (")


@pytest.mark.parametrize("form", ["message", "statement"])
@pytest.mark.parametrize("kind", ["ec", "ed25519"])
def test_bundles_that_another_library_wrote_are_good(kind: str, form: str) -> None:
    key = read_public_key(str(FIXTURES / f"{kind}.pub"), "--key")
    found = read_bundle((FIXTURES / f"{kind}.{form}.json").read_bytes(), SUBJECTS)

    assert judge(found, [key], SUBJECTS, Identity(None)).key == key
    assert b64decode(found.signer).hex() == key.id


def test_an_envelope_is_encoded_as_its_specification_shows() -> None:
    assert authenticated_encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_an_attestation_is_no_signature(key: PrivateKey) -> None:
    value = statement_bundle(key, statement(predicate="https://slsa.dev/provenance/v1"))

    assert "it is an attestation (https://slsa.dev/provenance/v1), not a signature" in problem_of(value)


def test_the_subject_of_a_statement_must_be_the_image(key: PrivateKey) -> None:
    found = read_bundle(json.dumps(statement_bundle(key, statement(Digest.of(b"other")))).encode(), SUBJECTS)

    assert judge(found, [key.public], SUBJECTS, ANY).reason == f"it is for another image, {Digest.of(b'other')}"


def test_an_artifact_must_refer_to_the_image(key: PrivateKey) -> None:
    data = json.dumps(message_bundle(key)).encode()
    (found,) = read_bundle_manifest(bundle_manifest(data, subject=INDEX), SUBJECTS, Blobs([data]).read)

    assert "it refers to another image" in found.problem


@pytest.mark.parametrize("material", [{"certificate": {"rawBytes": "AA=="}}, {"x509CertificateChain": {}}])
def test_what_a_certificate_signed_is_not_checked(key: PrivateKey, other_key: PrivateKey, material: Any) -> None:
    value = {**message_bundle(other_key), "verificationMaterial": material}
    found = read_bundle(json.dumps(value).encode(), SUBJECTS)

    verdict = judge(found, [key.public], SUBJECTS, ANY)

    assert verdict.key is None
    assert verdict.reason == NOT_CHECKED


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mediaType": "application/vnd.dev.sigstore.bundle.v0.4+json"}, "it is of the type"),
        ({"messageSignature": None}, "is null where an object"),
        ({"messageSignature": {"messageDigest": {"algorithm": "SHA2_512"}}}, "of the kind 'SHA2_512'"),
        ({"dsseEnvelope": {}}, "or both"),
        ({"verificationMaterial": []}, "is a list where an object is expected"),
    ],
    ids=["type", "null", "SHA-512", "both", "material"],
)
def test_a_strange_bundle_says_what_is_wrong(key: PrivateKey, change: dict[str, Any], said: str) -> None:
    assert re.search(said, problem_of({**message_bundle(key), **change}))


@pytest.mark.parametrize("count", [0, 2, 3])
def test_an_envelope_has_one_signature(key: PrivateKey, other_key: PrivateKey, count: int) -> None:
    """Of several, whoever reads the first would believe another than who reads the last."""
    value = statement_bundle(key)
    signed = [one["dsseEnvelope"]["signatures"][0] for one in (value, statement_bundle(other_key), value)]
    value["dsseEnvelope"]["signatures"] = signed[:count]

    assert f"its envelope has {count} signatures, and should have one" in problem_of(value)


@pytest.mark.parametrize("count", [0, 2, 3])
def test_an_artifact_has_one_bundle(key: PrivateKey, count: int) -> None:
    data = json.dumps(message_bundle(key)).encode()
    manifest = json.loads(bundle_manifest(data))
    manifest["layers"] *= count

    (found,) = read_bundle_manifest(json.dumps(manifest).encode(), SUBJECTS, Blobs([data]).read)

    assert f"it has {count} bundles, and should have one" in found.problem


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"payloadType": "application/json"}, "its payload is of the type 'application/json'"),
        ({"signatures": []}, "its envelope has 0 signatures"),
        ({"payload": "e30="}, "'_type' is missing"),
        ({"payload": "?"}, "it is no base64"),
    ],
    ids=["type", "unsigned", "no statement", "no base64"],
)
def test_a_strange_envelope_says_what_is_wrong(key: PrivateKey, change: dict[str, Any], said: str) -> None:
    value = statement_bundle(key)
    value["dsseEnvelope"] |= change

    assert said in problem_of(value)


@pytest.mark.parametrize(
    "change",
    [{"_type": "x"}, {"subject": []}, {"subject": [{}]}, {"subject": [{"digest": {"sha256": "zz"}}]}, {"subject": 1}],
)
def test_a_strange_statement_is_no_signature(key: PrivateKey, change: dict[str, Any]) -> None:
    assert problem_of(statement_bundle(key, statement() | change))
