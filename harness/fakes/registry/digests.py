"""The digests that a registry knows: kubeimage writes sha256 alone, others push sha512 too.

Source: OCI image-spec v1.1, descriptor.md, "Registered algorithms".
"""

from __future__ import annotations

import hashlib
import re
from typing import Self

from harness.fakes.registry.problems import Problem
from kubeimage.errors import DigestFormatError
from kubeimage.image.digest import Digest

_SHA512 = re.compile(r"sha512:([a-f0-9]{128})")


class Sha512Digest(Digest):
    """A sha512 of some bytes; ``str()`` is ``sha512:HEX``."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``sha512:HEX``.

        Raises: DigestFormatError for another algorithm, length or alphabet.
        """
        match = _SHA512.fullmatch(text)
        if match is None:
            raise DigestFormatError(f"not a digest: {text!r}", hint="it is sha512: and 128 characters of 0-9 a-f")
        return cls(match[1])

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Digest ``data``."""
        return cls(hashlib.sha512(data).hexdigest())

    def __str__(self) -> str:
        return f"sha512:{self.hex}"


def any_digest(text: str) -> Digest:
    """Read a digest of either algorithm.

    Raises: DigestFormatError.
    """
    return Sha512Digest.parse(text) if text.startswith("sha512:") else Digest.parse(text)


def parse_digest(text: str | None) -> Digest:
    """Read a digest that a client sent.

    Raises: Problem, as the registry answers it.
    """
    try:
        return any_digest(text or "")
    except DigestFormatError:
        raise Problem("DIGEST_INVALID", text) from None
