"""Digests of content.

Source: OCI image-spec v1.1, descriptor.md, "Digests".
"""

from __future__ import annotations

import hashlib
import re
from typing import Self

from kubeimage.errors import DigestFormatError
from kubeimage.values import dataclass

_SHA256 = re.compile(r"sha256:([a-f0-9]{64})")


@dataclass(frozen=True, order=True)
class Digest:
    """A sha256 of some bytes; ``str()`` gives ``sha256:HEX``."""

    hex: str

    # The two that are called most of all, by a build as by those who look at many images.
    def __init__(self, hex: str) -> None:  # noqa: A002 - as the field is called
        self.__dict__["hex"] = hex

    def __hash__(self) -> int:
        return hash(self.hex)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``sha256:HEX``.

        Raises: DigestFormatError for another algorithm, length or alphabet.
        """
        match = _SHA256.fullmatch(text)
        if match is None:
            raise DigestFormatError(f"not a digest: {text!r}", hint="a digest is sha256: and 64 characters of 0-9 a-f")
        return cls(match[1])

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Digest ``data``."""
        return cls(hashlib.sha256(data).hexdigest())

    @property
    def short(self) -> str:
        """The first 12 characters, for people."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"sha256:{self.hex}"
