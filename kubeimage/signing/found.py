"""A signature as it lies somewhere, before anybody has judged it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.signing.payload import Claim
from kubeimage.values import dataclass

Form = Literal["cosign", "bundle"]
"""How a signature is kept: in cosign's `.sig` manifest, or in sigstore's bundle."""

ReadBlob = Callable[[Descriptor], bytes]
"""Reads a small blob, whose size and digest are verified.

Raises: KubeimageError.
"""


@dataclass(frozen=True)
class Found:
    """One signature.

    Shape: ``signed`` are the bytes that it is of, None where it is of the image's manifest itself.
           ``signer`` is a hint about who made it, believed by nobody.
           ``bundle`` is what it was read from, where it was one.
           ``problem`` says why it is no signature, and is empty where it may be one.
    """

    form: Form
    claim: Claim | None = None
    signed: bytes | None = None
    signature: bytes = b""
    has_certificate: bool = False
    signer: str = ""
    problem: str = ""
    bundle: bytes = b""


@dataclass(frozen=True)
class Subjects:
    """The manifests of which one has to be signed: what an image's name leads to, and what was chosen from it."""

    documents: Mapping[Digest, bytes]

    @classmethod
    def of(cls, *documents: bytes) -> Subjects:
        """Return subjects with these bytes; each digest is taken of them."""
        return cls({Digest.of(data): data for data in documents})
