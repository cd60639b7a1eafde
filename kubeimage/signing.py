"""Keys and signatures: PEM files as OpenSSL writes them, ECDSA on P-256 and Ed25519.

The mathematics is the library's. It is imported when the first key is read.

Source: RFC 8032 (Ed25519); FIPS 186-5 (ECDSA), over SHA-256, in ASN.1; RFC 5208 and RFC 5280 for the files.
"""

from __future__ import annotations

from typing import Protocol

from kubeimage.errors import UsageError

_KINDS = "ECDSA on P-256, or Ed25519"
_PRIVATE_HINT = "openssl genpkey -algorithm ed25519 -out PRIVATE.pem makes one"
_PUBLIC_HINT = "openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem writes it"
_LARGEST = 1 << 16


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


def read_private_key(path: str, option: str) -> Signer:
    """Read a private key in PKCS#8 PEM, without a password; ``option`` is what named it.

    Raises: UsageError.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path, option)
    try:
        key: object = load_pem_private_key(data, None)
    except TypeError:
        raise UsageError(f"{option}: {path!r} has a password", hint="write it without one: openssl pkey -in") from None
    except Exception:  # noqa: BLE001  the library raises many kinds for what is no key
        raise UsageError(f"{option}: {path!r} holds no private key in PEM", hint=_PRIVATE_HINT) from None
    return _private(key, path, option)


def read_public_key(path: str, option: str) -> Verifier:
    """Read a public key in PEM; ``option`` is what named it.

    Raises: UsageError.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _read(path, option)
    try:
        key: object = load_pem_public_key(data)
    except Exception:  # noqa: BLE001  the library raises many kinds for what is no key
        raise UsageError(f"{option}: {path!r} holds no public key in PEM", hint=_PUBLIC_HINT) from None
    return _public(key, path, option)


class _EcdsaSigner:
    def __init__(self, key: object) -> None:
        self._key = key

    def sign(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256

        assert isinstance(self._key, EllipticCurvePrivateKey)
        return self._key.sign(data, ECDSA(SHA256()))


class _EcdsaVerifier:
    def __init__(self, key: object) -> None:
        self._key = key

    def verifies(self, data: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
        from cryptography.hazmat.primitives.hashes import SHA256

        assert isinstance(self._key, EllipticCurvePublicKey)
        try:
            self._key.verify(signature, data, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


class _EdVerifier:
    def __init__(self, key: object) -> None:
        self._key = key

    def verifies(self, data: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        assert isinstance(self._key, Ed25519PublicKey)
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


def _private(key: object, path: str, option: str) -> Signer:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return _EcdsaSigner(key)
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise UsageError(f"{option}: the key in {path!r} is of another kind than {_KINDS}", hint=_PRIVATE_HINT)


def _public(key: object, path: str, option: str) -> Verifier:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return _EcdsaVerifier(key)
    if isinstance(key, Ed25519PublicKey):
        return _EdVerifier(key)
    raise UsageError(f"{option}: the key in {path!r} is of another kind than {_KINDS}", hint=_PUBLIC_HINT)


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
    except OSError as error:
        raise UsageError(f"{option}: cannot read the key {path!r}: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise UsageError(f"{option}: {path!r} is too large for a key")
    return data


__all__ = ["Signer", "Verifier", "read_private_key", "read_public_key"]
