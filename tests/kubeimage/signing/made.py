"""Keys, signatures and bundles, made by the library that kubeimage checks them with, and by hand."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from kubeimage.errors import BlobNotFoundError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.signing import bundle
from kubeimage.signing.keys import PrivateKey, read_private_key
from kubeimage.signing.payload import Claim, make_payload
from kubeimage.signing.sigtag import Artifact, add_signature

Kind = Literal["p256", "ed25519", "p384", "rsa"]
KINDS: tuple[Kind, ...] = ("p256", "ed25519")
NAME = "registry.example.com/team/app:1.0"
MANIFEST = b'{"schemaVersion":2,"config":{},"layers":[]}'
INDEX = b'{"schemaVersion":2,"manifests":[]}'
SUBJECT = Digest.of(MANIFEST)


def write_pair(folder: Path, kind: Kind = "p256", name: str = "key", passphrase: bytes | None = None) -> Path:
    """Write ``NAME.pem`` and ``NAME.pub``, and return the first."""
    makers: dict[Kind, Callable[[], Any]] = {
        "p256": lambda: generate_private_key(SECP256R1()),
        "p384": lambda: generate_private_key(SECP384R1()),
        "ed25519": Ed25519PrivateKey.generate,
        "rsa": lambda: generate_rsa_key(65537, 2048),
    }
    key = makers[kind]()
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        encryption = BestAvailableEncryption(passphrase)
    path = folder / f"{name}.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    return path


def make_key(folder: Path, kind: Kind = "p256", name: str = "key") -> PrivateKey:
    """Write a pair of keys, and return the private one."""
    return read_private_key(str(write_pair(folder, kind, name)), "--key")


class Blobs:
    """Blobs in memory, each under the digest of its bytes."""

    def __init__(self, blobs: Iterable[bytes] = ()) -> None:
        self.known = {Digest.of(data): data for data in blobs}

    def add(self, artifact: Artifact) -> bytes:
        """Keep the blobs of an artifact, and return its manifest."""
        self.known |= {descriptor.digest: data for descriptor, data in artifact.blobs}
        return artifact.data

    def read(self, descriptor: Descriptor) -> bytes:
        """Return a blob."""
        data = self.known.get(descriptor.digest)
        if data is None or len(data) != descriptor.size:
            raise BlobNotFoundError(f"there is no blob {descriptor.digest}")
        return data


def signed(key: PrivateKey, blobs: Blobs, *, digest: Digest = SUBJECT, name: str = NAME) -> bytes:
    """Return a `.sig` manifest with one signature."""
    payload = make_payload(Claim(digest, name))
    return blobs.add(add_signature(None, payload, key.sign(payload), blobs.read))


def message_bundle(key: PrivateKey, document: bytes = MANIFEST) -> dict[str, Any]:
    """Return a bundle with a signature of the manifest itself."""
    digest = b64encode(bytes.fromhex(Digest.of(document).hex)).decode()
    signature = b64encode(key.sign(document)).decode()
    message = {"messageDigest": {"algorithm": "SHA2_256", "digest": digest}, "signature": signature}
    return {**_opening(key), "messageSignature": message}


def statement(digest: Digest = SUBJECT, predicate: str = bundle.IS_SIGNED, name: str = "") -> dict[str, Any]:
    """Return an in-toto statement."""
    subject = {"name": name, "digest": {"sha256": digest.hex}}
    return {"_type": bundle.STATEMENTS[0], "subject": [subject], "predicateType": predicate, "predicate": {}}


def statement_bundle(key: PrivateKey, said: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a bundle with a signed statement."""
    body = json.dumps(said if said is not None else statement()).encode()
    signature = key.sign(bundle.authenticated_encoding(bundle.STATEMENT, body))
    envelope = {
        "payload": b64encode(body).decode(),
        "payloadType": bundle.STATEMENT,
        "signatures": [{"sig": b64encode(signature).decode()}],
    }
    return {**_opening(key), "dsseEnvelope": envelope}


def bundle_manifest(data: bytes, subject: bytes = MANIFEST) -> bytes:
    """Return the manifest of an artifact that refers to ``subject`` and has the bundle ``data``."""
    empty = Descriptor.of("application/vnd.oci.empty.v1+json", b"{}")
    value = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": bundle.MEDIA_TYPE,
        "config": empty.to_json(),
        "layers": [Descriptor.of(bundle.MEDIA_TYPE, data).to_json()],
        "subject": Descriptor.of("application/vnd.oci.image.manifest.v1+json", subject).to_json(),
    }
    return json.dumps(value).encode()


def _opening(key: PrivateKey) -> dict[str, Any]:
    hint = b64encode(bytes.fromhex(key.public.id)).decode()
    return {"mediaType": bundle.MEDIA_TYPE, "verificationMaterial": {"publicKey": {"hint": hint}}}
