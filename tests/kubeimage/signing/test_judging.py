"""Signed by whom, or why not; and no byte can be changed of anything that is signed."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from kubeimage.errors import UsageError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.image.trust import IdentityRule
from kubeimage.signing.bundle import read_bundle
from kubeimage.signing.found import Found, Subjects
from kubeimage.signing.judging import NOT_CHECKED, Identity, judge, judge_all
from kubeimage.signing.keys import PrivateKey, PublicKey, read_public_key
from kubeimage.signing.payload import Claim, make_payload
from kubeimage.signing.sigtag import CERTIFICATE, SIGNATURE, add_signature, read_sig_manifest
from tests.kubeimage.signing.made import (
    INDEX,
    KINDS,
    MANIFEST,
    NAME,
    SUBJECT,
    Blobs,
    Kind,
    message_bundle,
    signed,
    statement_bundle,
)

SUBJECTS = Subjects.of(MANIFEST)
IMAGE = Identity(Reference.parse(NAME))
KeyOf = Callable[[Kind], PrivateKey]


def only(data: bytes, blobs: Blobs) -> Found:
    (found,) = read_sig_manifest(data, blobs.read)
    return found


def test_a_signature_says_by_whom(key: PrivateKey, other_key: PrivateKey, blobs: Blobs) -> None:
    found = only(signed(key, blobs), blobs)

    verdict = judge(found, [other_key.public, key.public], SUBJECTS, IMAGE)

    assert (verdict.key, verdict.digest, verdict.identity) == (key.public, SUBJECT, NAME)


def test_a_signature_by_another_key_does_not_count(key: PrivateKey, other_key: PrivateKey, blobs: Blobs) -> None:
    verdict = judge(only(signed(key, blobs), blobs), [other_key.public], SUBJECTS, IMAGE)

    assert (verdict.key, verdict.reason) == (None, "it is by another key")


def test_a_signature_for_another_image_does_not_count(key: PrivateKey, blobs: Blobs) -> None:
    found = only(signed(key, blobs, digest=Digest.of(INDEX)), blobs)

    verdict = judge(found, [key.public], SUBJECTS, IMAGE)

    assert (verdict.key, verdict.reason) == (None, f"it is for another image, {Digest.of(INDEX)}")


def test_a_signature_of_the_index_is_one_of_the_manifest_chosen_from_it(key: PrivateKey, blobs: Blobs) -> None:
    found = only(signed(key, blobs, digest=Digest.of(INDEX)), blobs)

    assert judge(found, [key.public], Subjects.of(INDEX, MANIFEST), IMAGE).key == key.public


def test_a_certificate_s_signature_is_not_checked(key: PrivateKey, other_key: PrivateKey, blobs: Blobs) -> None:
    value = json.loads(signed(other_key, blobs))
    value["layers"][0]["annotations"][CERTIFICATE] = "-----BEGIN CERTIFICATE-----"

    verdict = judge(only(json.dumps(value).encode(), blobs), [key.public], SUBJECTS, IMAGE)

    assert (verdict.key, verdict.reason) == (None, NOT_CHECKED)


def test_of_several_signatures_each_has_a_verdict(key: PrivateKey, other_key: PrivateKey, blobs: Blobs) -> None:
    payload = make_payload(Claim(SUBJECT, NAME))
    data = blobs.add(add_signature(signed(key, blobs), payload, other_key.sign(payload), blobs.read))

    verdicts = judge_all(read_sig_manifest(data, blobs.read), [other_key.public], SUBJECTS, IMAGE)

    assert [one.key for one in verdicts] == [None, other_key.public]


@pytest.mark.parametrize(
    ("image", "claimed", "takers"),
    [
        ("registry.example.com/team/app:1.0", "registry.example.com/team/app:1.0", "repository exact any"),
        ("registry.example.com/team/app:1.0", "registry.example.com/team/app", "repository any"),
        ("registry.example.com/team/app:1.0", "Registry.Example.com:443/team/app:1.0", "repository exact any"),
        ("registry.example.com/team/app:1.0", "registry.example.com/team/app:2.0", "any"),
        ("registry.example.com/team/app:1.0", "registry.example.com/team/other:1.0", "any"),
        ("registry.example.com/team/app:1.0", "registry.example.com/team/app/more:1.0", "any"),
        ("registry.example.com/team/app:1.0", "registry.example.com:5000/team/app:1.0", "any"),
        ("registry.example.com/team/app:1.0", "team/app:1.0", "any"),
        ("registry.example.com/team/app:1.0", "", "repository any"),
        ("registry.example.com/team/app:1.0", "Not a name", "any"),
        (f"registry.example.com/team/app@{SUBJECT}", "registry.example.com/team/app:9", "repository exact any"),
        (f"registry.example.com/team/app@{SUBJECT}", "registry.example.com/team/other", "any"),
        ("docker.io/library/nginx:1", "nginx:1", "repository exact any"),
        ("docker.io/library/nginx:1", "index.docker.io/library/nginx", "repository any"),
        ("registry.example.com:5000/app:1.0", "registry.example.com:5000/app", "repository any"),
    ],
)
def test_a_signature_is_for_a_name(image: str, claimed: str, takers: str) -> None:
    rules: tuple[IdentityRule, ...] = ("repository", "exact", "any")

    assert " ".join(rule for rule in rules if Identity(Reference.parse(image), rule).takes(claimed)) == takers


def test_a_signature_for_another_name_does_not_count(key: PrivateKey, blobs: Blobs) -> None:
    found = only(signed(key, blobs, name="registry.example.com/team/other:1.0"), blobs)

    verdict = judge(found, [key.public], SUBJECTS, IMAGE)

    assert (verdict.key, verdict.reason) == (None, f"it is for registry.example.com/team/other:1.0, not for {NAME}")


def test_an_image_without_a_name_may_be_signed_under_any(key: PrivateKey, blobs: Blobs) -> None:
    assert judge(only(signed(key, blobs), blobs), [key.public], SUBJECTS, Identity(None)).key == key.public


def changed(data: bytes) -> Iterator[bytes]:
    """Yield ``data`` with one byte changed, or one more or less, at every place."""
    for place, byte in enumerate(data):
        other = byte ^ (1, 0x20, 0x80, byte or 1)[place % 4]
        yield data[:place] + bytes([other]) + data[place + 1 :]
        yield data[:place] + data[place + (1 if place % 2 else 2) :]


@pytest.mark.parametrize("kind", KINDS)
def test_no_byte_of_a_signature_can_be_changed(kind: Kind, key_of: KeyOf, blobs: Blobs) -> None:
    key = key_of(kind)
    value = json.loads(signed(key, blobs))
    annotations = value["layers"][0]["annotations"]

    for text in changed(annotations[SIGNATURE].encode()):
        annotations[SIGNATURE] = text.decode("latin-1")
        assert judge(only(json.dumps(value).encode(), blobs), [key.public], SUBJECTS, IMAGE).key is None


@pytest.mark.parametrize("kind", KINDS)
def test_no_byte_of_a_payload_can_be_changed(kind: Kind, key_of: KeyOf, blobs: Blobs) -> None:
    key = key_of(kind)
    payload = make_payload(Claim(SUBJECT, NAME))
    signature = key.sign(payload)

    for other in changed(payload):
        found = only(blobs.add(add_signature(None, other, signature, blobs.read)), blobs)
        assert judge(found, [key.public], SUBJECTS, Identity(None, "any")).key is None


@pytest.mark.parametrize("kind", KINDS)
def test_no_byte_of_an_image_s_manifest_can_be_changed(kind: Kind, key_of: KeyOf, blobs: Blobs) -> None:
    key = key_of(kind)
    sig = signed(key, blobs)
    bundles = [json.dumps(make(key)).encode() for make in (message_bundle, statement_bundle)]

    for other in changed(MANIFEST):
        subjects = Subjects.of(other)
        found = [only(sig, blobs), *(read_bundle(data, subjects) for data in bundles)]
        assert [one.key for one in judge_all(found, [key.public], subjects, IMAGE)] == [None, None, None]


def test_a_changed_manifest_of_signatures_never_makes_another_one(key: PrivateKey, blobs: Blobs) -> None:
    data = signed(key, blobs)
    before = only(data, blobs)

    for other in changed(data):
        for found in read_sig_manifest(other, blobs.read):
            if judge(found, [key.public], SUBJECTS, IMAGE).key is not None:
                assert (found.signed, found.signature) == (before.signed, before.signature)


@pytest.mark.parametrize("make", [message_bundle, statement_bundle])
def test_a_changed_bundle_never_makes_another_signature(make: Any, key: PrivateKey) -> None:
    data = json.dumps(make(key)).encode()
    before = read_bundle(data, SUBJECTS)

    for other in changed(data):
        found = read_bundle(other, SUBJECTS)
        if judge(found, [key.public], SUBJECTS, IMAGE).key is not None:
            assert (found.signed, found.signature) == (before.signed, before.signature)


@pytest.mark.parametrize("kind", KINDS)
def test_no_byte_of_a_key_can_be_changed(kind: Kind, key_of: KeyOf, blobs: Blobs, tmp_path: Path) -> None:
    key = key_of(kind)
    found = only(signed(key, blobs), blobs)
    public = load_pem_public_key((tmp_path / f"{kind}.pub").read_bytes())
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    for other in changed(der):
        keys = list(read_changed(other, tmp_path))
        assert all(judge(found, [one], SUBJECTS, IMAGE).key is None for one in keys)


def read_changed(der: bytes, folder: Path) -> Iterator[PublicKey]:
    """Yield the key, if it is one."""
    path = folder / "changed.pub"
    path.write_text(f"-----BEGIN PUBLIC KEY-----\n{b64encode(der).decode()}\n-----END PUBLIC KEY-----\n")
    try:
        yield read_public_key(str(path), "--key")
    except UsageError:
        return
