"""Keys: PEM files as OpenSSL writes them, ECDSA on P-256 and Ed25519.

The mathematics is the library's. It is imported when the first key is read.

Source: RFC 8032 (Ed25519); FIPS 186-5 (ECDSA), over SHA-256, in ASN.1; RFC 5208 and RFC 5280 for the files.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from kubeimage.errors import UsageError
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_KINDS = "ECDSA on P-256, or Ed25519"
_PRIVATE_HINT = "openssl genpkey -algorithm ed25519 -out PRIVATE.pem makes one"
_PUBLIC_HINT = "openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem writes it"
_CERTIFICATE_HINT = "openssl x509 -in CERTIFICATE.pem -noout -pubkey writes its public key"
_LARGEST = 1 << 16
PASSPHRASES = "it is env:NAME, or file:PATH whose first line is meant"
"""What `read_passphrase` takes."""


class Signer(Protocol):
    """A private key."""

    def sign(self, data: bytes) -> bytes:
        """Return the signature of ``data``."""
        ...


class Verifier(Protocol):
    """A public key."""

    def verifies(self, data: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is this key's, of ``data``."""
        ...


@dataclass(frozen=True)
class PublicKey:
    """A public key from a file.

    Shape: ``name`` is how people named the file. ``id`` is 64 characters of hexadecimal.
    Source: ``id`` is the SHA-256 of the key's SubjectPublicKeyInfo in DER, which cosign's hints name too.
    """

    name: str
    id: str
    check: Callable[[bytes, bytes], bool]

    def verifies(self, data: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is this key's, of ``data``."""
        return self.check(data, signature)


@dataclass(frozen=True)
class PrivateKey:
    """A private key from a file, with its public key."""

    make: Callable[[bytes], bytes]
    public: PublicKey

    def sign(self, data: bytes) -> bytes:
        """Return the signature of ``data``."""
        return self.make(data)


def read_passphrase(text: str, option: str) -> bytes:
    """Return the pass phrase that an environment variable or a file holds; ``option`` is what named it.

    Raises: UsageError, which never holds ``text`` where it may be the pass phrase itself.
    """
    source, colon, place = text.partition(":")
    if source not in ("env", "file") or not colon or not place:
        raise UsageError(f"{option} names where the pass phrase is", hint=PASSPHRASES)
    found = os.environb.get(place.encode()) if source == "env" else _first_line(place, option)
    if found is None:
        raise UsageError(f"{option}: there is no environment variable {place}", hint=PASSPHRASES)
    if not found:
        raise UsageError(f"{option}: the pass phrase in {place} is empty")
    return found


def read_private_key(path: str, option: str, passphrase: bytes | None = None) -> PrivateKey:
    """Read a private key in PKCS#8 PEM; ``option`` is what named it.

    Raises: UsageError.
    """
    data = _read(path, option)
    if b"ENCRYPTED SIGSTORE" in data or b"ENCRYPTED COSIGN" in data:
        raise UsageError(
            f"{option}: {path!r} is encrypted in a form of cosign's own, which kubeimage does not read",
            hint=f"sign with cosign, whose public key kubeimage verify takes; or use a key in PKCS#8: {_PRIVATE_HINT}",
        )
    if b" PUBLIC KEY-" in data:
        raise UsageError(f"{option}: {path!r} holds a public key, and a private one is needed", hint=_PRIVATE_HINT)
    is_encrypted = b"ENCRYPTED" in data
    if is_encrypted and passphrase is None:
        raise UsageError(
            f"{option}: {path!r} has a pass phrase",
            hint="kubeimage sign takes --passphrase; openssl pkey -in KEY.pem -out PLAIN.pem writes it without one",
        )
    return _private(_load_private(data, passphrase if is_encrypted else None, path, option), path, option)


def read_public_key(path: str, option: str) -> PublicKey:
    """Read a public key in PEM; ``option`` is what named it.

    Raises: UsageError.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _read(path, option)
    if b"PRIVATE KEY-" in data:
        raise UsageError(f"{option}: {path!r} holds a private key, and a public one is needed", hint=_PUBLIC_HINT)
    if b"-BEGIN CERTIFICATE-" in data:
        raise UsageError(f"{option}: {path!r} holds a certificate, not a public key", hint=_CERTIFICATE_HINT)
    try:
        key: object = load_pem_public_key(data)
    except Exception:  # noqa: BLE001  the library raises many kinds for what is no key
        raise UsageError(f"{option}: {path!r} holds no public key in PEM", hint=_PUBLIC_HINT) from None
    return _public(key, path, option, _PUBLIC_HINT)


def _load_private(data: bytes, passphrase: bytes | None, path: str, option: str) -> object:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(data, passphrase)
    except Exception:  # noqa: BLE001  the library raises many kinds for what is no key
        if passphrase is not None:
            raise UsageError(
                f"{option}: {path!r} cannot be decrypted", hint="the pass phrase is another one, or the file is damaged"
            ) from None
        raise UsageError(f"{option}: {path!r} holds no private key in PEM", hint=_PRIVATE_HINT) from None


def _private(key: object, path: str, option: str) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256

    if not isinstance(key, EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise _other_kind(path, option, _PRIVATE_HINT)
    public = _public(key.public_key(), path, option, _PRIVATE_HINT)
    if isinstance(key, Ed25519PrivateKey):
        return PrivateKey(key.sign, public)
    return PrivateKey(lambda data: key.sign(data, ECDSA(SHA256())), public)


def _public(key: object, path: str, option: str, hint: str) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return PublicKey(path, _id_of(key), _ecdsa(key))
    if isinstance(key, Ed25519PublicKey):
        return PublicKey(path, _id_of(key), _ed25519(key))
    raise _other_kind(path, option, hint)


def _other_kind(path: str, option: str, hint: str) -> UsageError:
    return UsageError(f"{option}: the key in {path!r} is of another kind than {_KINDS}", hint=hint)


def _id_of(key: EllipticCurvePublicKey | Ed25519PublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _ecdsa(key: EllipticCurvePublicKey) -> Callable[[bytes, bytes], bool]:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    def check(data: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, data, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    return check


def _ed25519(key: Ed25519PublicKey) -> Callable[[bytes, bytes], bool]:
    from cryptography.exceptions import InvalidSignature

    def check(data: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    return check


def _first_line(path: str, option: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.readline(_LARGEST).rstrip(b"\r\n")
    except OSError as error:
        raise UsageError(f"{option}: cannot read the pass phrase from {path!r}: {error.strerror}") from error


def _read(path: str, option: str) -> bytes:
    """Read a small file.

    Raises: UsageError; also where the library is not there.
    """
    try:
        import cryptography  # noqa: F401  whether it is there
    except ImportError:
        hint = "install the library that reads keys: pip install 'kubeimage[sign]'"
        raise UsageError(f"{option} needs the library cryptography", hint=hint) from None
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is no path"
        raise UsageError(f"{option}: cannot read the key {path!r}: {reason}") from error
    if len(data) > _LARGEST:
        raise UsageError(f"{option}: {path!r} is too large for a key")
    return data


__all__ = [
    "PASSPHRASES",
    "PrivateKey",
    "PublicKey",
    "Signer",
    "Verifier",
    "read_passphrase",
    "read_private_key",
    "read_public_key",
]
