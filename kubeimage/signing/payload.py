"""What is signed: simple signing's payload, which names a digest and the image's name.

    {"critical": {"identity": {"docker-reference": NAME}, "image": {"docker-manifest-digest": "sha256:HEX"},
                  "type": "cosign container image signature"}, "optional": {...}}

It is read as strictly as containers/image does: nothing else may stand in ``critical``, and no key twice.

Source: cosign, specs/SIGNATURE_SPEC.md; containers/image, docs/containers-signature.5.md.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from kubeimage.errors import (
    ArchiveError,
    BlobCorruptError,
    BlobNotFoundError,
    DigestFormatError,
    KubeimageError,
    RegistryContentError,
    RegistryNotFoundError,
)
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.fields import expect, required

MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
TYPE = "cosign container image signature"
LARGEST = 4 << 20
"""Bytes of a payload or a bundle."""

CREATOR = "kubeimage"
BAD = (
    *(ValueError, KeyError, TypeError, AttributeError, RecursionError),
    *(DigestFormatError, ArchiveError, BlobCorruptError, BlobNotFoundError),
    *(RegistryContentError, RegistryNotFoundError),
)
"""What comes of reading what is none. A disk or network that fails says nothing of a signature: it is not among it."""


class Claim(NamedTuple):
    """What a signature says of an image. Shape: ``identity`` is a name, empty where it says none."""

    digest: Digest
    identity: str


def said_of(error: Exception) -> str:
    """Return what one of ``BAD`` says, in our words."""
    return str(error) if isinstance(error, ValueError | KubeimageError) else "it cannot be understood"


def make_payload(claim: Claim) -> bytes:
    """Return what is to be signed: the same bytes for the same claim."""
    return canonical.encode(
        {
            "critical": {
                "identity": {"docker-reference": claim.identity},
                "image": {"docker-manifest-digest": str(claim.digest)},
                "type": TYPE,
            },
            "optional": {"creator": CREATOR},
        }
    )


def read_payload(data: bytes) -> Claim:
    """Read a payload.

    Raises: one of ``BAD`` for what is none.
    """
    whole = read_object(data)
    _check_keys(whole, {"critical"}, {"optional"})
    critical = required(whole, "critical", dict)
    _check_keys(critical, {"type", "image", "identity"})
    if critical["type"] != TYPE:
        raise ValueError(f"its type is {critical['type']!r}, not {TYPE!r}")
    image, identity = required(critical, "image", dict), required(critical, "identity", dict)
    _check_keys(image, {"docker-manifest-digest"})
    _check_keys(identity, {"docker-reference"})
    digest = Digest.parse(required(image, "docker-manifest-digest", str))
    return Claim(digest, required(identity, "docker-reference", str))


def read_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object in which no key stands twice.

    Raises: one of ``BAD``.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_pair_twice)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8, at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON, at line {error.lineno}, column {error.colno}") from error
    return expect(value, dict, "it")


def read_base64(text: str) -> bytes:
    """Read base64 as it is written: of the texts that lead to the same bytes, one alone.

    Raises: ValueError.
    """
    try:
        data = b64decode(text.encode("ascii"), validate=True)
    except ValueError as error:
        raise ValueError("it is no base64") from error
    if b64encode(data).decode() != text:
        raise ValueError("it is base64 that nobody writes")
    return data


def _no_pair_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in it")
    return found


def _check_keys(value: dict[str, Any], needed: AbstractSet[str], allowed: AbstractSet[str] = frozenset()) -> None:
    if lacking := needed - value.keys():
        raise ValueError(f"{min(lacking)!r} is missing")
    if more := value.keys() - needed - allowed:
        raise ValueError(f"{min(more)!r} does not belong there")
