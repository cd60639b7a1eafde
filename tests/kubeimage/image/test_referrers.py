"""What an artefact is, what it refers to, and which of them are wanted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.errors import UsageError
from kubeimage.image.digest import Digest
from kubeimage.image.referrers import (
    KINDS,
    Artifact,
    ReferrerChoice,
    cosign_tags,
    fallback_tag,
    kinds_of,
    parse_tag,
    read_referrer,
)
from tests.artefacts import NOTATION, SIMPLE_SIGNING, SPDX, cosign_artifact, oras_artifact

IMAGE = b'{"an": "image"}'
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE = "dev.sigstore.bundle.predicateType"


@pytest.mark.parametrize(
    ("artifact_type", "annotations", "kinds"),
    [
        (NOTATION, {}, {"signature"}),
        ("application/vnd.dev.cosign.artifact.sig.v1+json", {}, {"signature"}),
        (SIMPLE_SIGNING, {}, {"signature"}),
        (SPDX, {}, {"sbom"}),
        ("text/spdx", {}, {"sbom"}),
        ("application/vnd.cyclonedx+json", {}, {"sbom"}),
        ("application/vnd.syft+json", {}, {"sbom"}),
        ("application/vnd.in-toto+json", {}, {"attestation"}),
        ("application/vnd.dsse.envelope.v1+json", {}, {"attestation"}),
        (BUNDLE, {}, {"signature", "attestation"}),
        (BUNDLE, {"dev.sigstore.bundle.content": "message-signature"}, {"signature"}),
        (BUNDLE, {PREDICATE: "https://sigstore.dev/cosign/sign/v1"}, {"signature"}),
        (BUNDLE, {PREDICATE: "https://slsa.dev/provenance/v1"}, {"attestation"}),
        (BUNDLE, {PREDICATE: "https://spdx.dev/Document/v2.3"}, {"attestation", "sbom"}),
        ("application/vnd.example.report", {}, set()),
    ],
)
def test_types_have_short_words(artifact_type: str, annotations: dict[str, str], kinds: set[str]) -> None:
    assert kinds_of(artifact_type, "", annotations) == kinds
    for word in KINDS:
        assert ReferrerChoice((word,)).takes(artifact_type, "", annotations) is (word in kinds)


@pytest.mark.parametrize(("suffix", "kind"), [("sig", "signature"), ("att", "attestation"), ("sbom", "sbom")])
def test_cosigns_tag_says_what_it_leads_to(suffix: str, kind: str) -> None:
    made = cosign_artifact(IMAGE, suffix)

    referrer, _ = read_referrer(made.data, made.subject, made.tag or "")

    assert referrer.kinds == {kind}
    assert (referrer.digest, referrer.subject, referrer.tag) == (made.digest, made.subject, made.tag)
    assert referrer.artifact_type == SIMPLE_SIGNING


@given(st.binary(), st.sampled_from(["", "sig", "att", "sbom"]))
def test_tags_are_read_as_they_are_written(data: bytes, suffix: str) -> None:
    subject = Digest.of(data)

    tag = fallback_tag(subject) + (f".{suffix}" if suffix else "")

    assert parse_tag(tag) == (subject, suffix)
    assert (tag in cosign_tags(subject)) is bool(suffix)


@pytest.mark.parametrize("tag", ["v1", "sha256-12", f"sha256-{'a' * 64}.tar", f"sha256-{'A' * 64}.sig"])
def test_other_tags_are_about_nobody(tag: str) -> None:
    assert parse_tag(tag) is None


@given(st.lists(st.sampled_from([*KINDS, SPDX, NOTATION]), min_size=1, unique=True))
def test_a_choice_is_read_as_it_is_shown(words: list[str]) -> None:
    choice = ReferrerChoice.parse(",".join(words))

    assert choice.types == tuple(words)
    assert ReferrerChoice.parse(str(choice)) == choice
    assert choice


def test_all_and_none_are_words_of_their_own() -> None:
    assert not ReferrerChoice.parse("none")
    assert ReferrerChoice.parse("all").takes("anything/at-all")
    assert [str(ReferrerChoice.parse(word)) for word in ("none", "all")] == ["none", "all"]


@pytest.mark.parametrize("text", ["", "sig", "signatures", "all,sbom", "none,sbom", "sbom,", "a/b/c", "a b/c"])
def test_an_unknown_word_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(UsageError, match="not a kind of referrer") as caught:
        ReferrerChoice.parse(text)
    assert "signature, sbom, attestation" in (caught.value.hint or "")


def test_only_a_type_can_be_asked_of_a_registry() -> None:
    assert ReferrerChoice.parse(SPDX).only_type == SPDX
    assert ReferrerChoice.parse("sbom").only_type is None
    assert ReferrerChoice.parse("all").only_type is None


def test_an_artefact_has_all_blobs_once() -> None:
    made = oras_artifact(IMAGE, b"{}")

    artifact = Artifact.from_bytes(made.data)

    assert {one.digest for one in artifact.blobs} == set(made.blobs)
    assert len(artifact.blobs) == 1
    assert artifact.artifact_type == SPDX


def test_oras_own_manifests_are_read() -> None:
    """Those of before image-spec 1.1, which some registries still have."""
    image = Digest.of(IMAGE)
    value = {
        "mediaType": "application/vnd.oci.artifact.manifest.v1+json",
        "artifactType": "signature/example",
        "blobs": [{"mediaType": "application/json", "digest": str(Digest.of(b"s")), "size": 1}],
        "subject": {"mediaType": "x/y", "digest": str(image), "size": len(IMAGE)},
    }

    referrer, artifact = read_referrer(json.dumps(value).encode(), image)

    assert referrer.artifact_type == "signature/example"
    assert [one.digest for one in artifact.blobs] == [Digest.of(b"s")]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"<html>", "Expecting value|JSON|not"),
        (b"[]", "list|object"),
        (b"{}", "neither"),
        (b'{"layers": [1]}', "object"),
        (b'{"config": {"mediaType": "a/b"}}', "size|missing"),
        (b'{"manifests": [], "layers": [{}]}', "both"),
        (cosign_artifact(IMAGE).data, "no subject"),
        (oras_artifact(b"another").data, "it refers to sha256"),
    ],
)
def test_what_does_not_refer_to_the_image_is_no_referrer_of_it(data: bytes, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        read_referrer(data, Digest.of(IMAGE))


def test_nothing_refers_to_itself() -> None:
    made = cosign_artifact(IMAGE)

    with pytest.raises(ValueError, match="itself"):
        read_referrer(made.data, made.digest, "sha256-x.sig")
