"""sigstore's bundle, version 0.3, as cosign attaches it: an artifact that refers to an image, with the bundle as layer.

    messageSignature   a signature of the image's manifest itself
    dsseEnvelope       a signature of an in-toto statement, whose subject is the image

A statement counts as a signature only where it says that it is one: other statements about an image are attestations.

Source: cosign, specs/BUNDLE_SPEC.md; sigstore, protobuf-specs, sigstore_bundle.proto; DSSE, protocol.md, "PAE";
        in-toto, attestation framework, spec/v1.
"""

from __future__ import annotations

from typing import Any

from kubeimage.image.digest import Digest
from kubeimage.image.fields import expect, objects, optional, required
from kubeimage.image.oci import Manifest, parse_document
from kubeimage.signing.found import Found, ReadBlob, Subjects
from kubeimage.signing.payload import BAD, LARGEST, Claim, read_base64, read_object, said_of

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MEDIA_TYPES = (MEDIA_TYPE, "application/vnd.dev.sigstore.bundle+json;version=0.3")
STATEMENT = "application/vnd.in-toto+json"
STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
IS_SIGNED = "https://sigstore.dev/cosign/sign/v1"
"""The predicate of a statement that says nothing more than that its subject is signed."""


def read_bundle_manifest(data: bytes, subjects: Subjects, read_blob: ReadBlob) -> list[Found]:
    """Return the signatures of an artifact that refers to one of ``subjects``; what is none says why."""
    try:
        manifest = parse_document(data)
        if not isinstance(manifest, Manifest):
            raise ValueError("it is an index")
        subject = required(required(read_object(data), "subject", dict), "digest", str)
        if Digest.parse(subject) not in subjects.documents:
            raise ValueError(f"it refers to another image, {subject}")
        layers = [one for one in manifest.layers if one.media_type in MEDIA_TYPES]
        if len(layers) != 1:
            raise ValueError(f"it has {len(layers)} bundles, and should have one")
        if layers[0].size > LARGEST:
            raise ValueError(f"its bundle has {layers[0].size} bytes")
        return [read_bundle(read_blob(layers[0]), subjects)]
    except BAD as error:
        return [Found("bundle", problem=said_of(error))]


def read_bundle(data: bytes, subjects: Subjects) -> Found:
    """Return the signature of a bundle; what is none says why."""
    certified, signer = False, ""
    try:
        bundle = read_object(data)
        if required(bundle, "mediaType", str) not in MEDIA_TYPES:
            raise ValueError(f"it is of the type {bundle['mediaType']!r}, not {MEDIA_TYPE}")
        material = required(bundle, "verificationMaterial", dict)
        certified = "certificate" in material or "x509CertificateChain" in material
        signer = optional(optional(material, "publicKey", dict), "hint", str)
        if ("messageSignature" in bundle) == ("dsseEnvelope" in bundle):
            raise ValueError("it has neither a message's signature nor an envelope, or both")
        read = _read_message if "messageSignature" in bundle else _read_envelope
        claim, signed, signature = read(bundle, subjects)
    except BAD as error:
        return Found("bundle", has_certificate=certified, signer=signer, problem=said_of(error))
    return Found("bundle", claim, signed, signature, has_certificate=certified, signer=signer, bundle=data)


def authenticated_encoding(kind: str, body: bytes) -> bytes:
    """Return what an envelope's signature is of.

    Source: DSSE, protocol.md, "PAE".
    """
    return b" ".join([b"DSSEv1", str(len(kind.encode())).encode(), kind.encode(), str(len(body)).encode(), body])


def _read_message(bundle: dict[str, Any], _: Subjects) -> tuple[Claim, None, bytes]:
    message = required(bundle, "messageSignature", dict)
    digest = required(message, "messageDigest", dict)
    if digest.get("algorithm") != "SHA2_256":
        raise ValueError(f"its digest is of the kind {digest.get('algorithm')!r}, not SHA2_256")
    claim = Claim(Digest.parse(f"sha256:{read_base64(required(digest, 'digest', str)).hex()}"), "")
    return claim, None, read_base64(required(message, "signature", str))


def _read_envelope(bundle: dict[str, Any], subjects: Subjects) -> tuple[Claim, bytes, bytes]:
    envelope = required(bundle, "dsseEnvelope", dict)
    kind = required(envelope, "payloadType", str)
    if kind != STATEMENT:
        raise ValueError(f"its payload is of the type {kind!r}, not {STATEMENT}")
    signatures = objects(required(envelope, "signatures", list), "signatures")
    if len(signatures) != 1:
        raise ValueError(f"its envelope has {len(signatures)} signatures, and should have one")
    body = read_base64(required(envelope, "payload", str))
    signature = read_base64(required(signatures[0], "sig", str))
    return _read_statement(body, subjects), authenticated_encoding(kind, body), signature


def _read_statement(body: bytes, subjects: Subjects) -> Claim:
    statement = read_object(body)
    if required(statement, "_type", str) not in STATEMENTS:
        raise ValueError(f"its statement is of the type {statement['_type']!r}")
    predicate = required(statement, "predicateType", str)
    if predicate != IS_SIGNED:
        raise ValueError(f"it is an attestation ({predicate}), not a signature")
    claims = [_claim_of(one) for one in objects(required(statement, "subject", list), "subject")]
    if not claims:
        raise ValueError("its statement has no subject")
    return next((one for one in claims if one.digest in subjects.documents), claims[0])


def _claim_of(subject: dict[str, Any]) -> Claim:
    digests = expect(subject.get("digest"), dict, "'digest'")
    return Claim(Digest.parse(f"sha256:{required(digests, 'sha256', str)}"), optional(subject, "name", str))
