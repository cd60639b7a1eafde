"""Platforms: which machines an image is for.

Source: OCI image-spec v1.1, image-index.md, "platform"; names are Go's GOOS and GOARCH.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Self

from kubeimage.errors import PlatformFormatError

_WORD = re.compile(r"[a-z0-9][a-z0-9._-]*")
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "riscv64": ("riscv64", ""),
    "s390x": ("s390x", ""),
}
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7", "amd64": "v1"}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system, a processor architecture and, where it matters, its variant."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``os/architecture[/variant]``; a lone architecture means Linux.

        Raises: PlatformFormatError.
        """
        parts = text.strip().lower().split("/")
        if len(parts) == 1:
            parts = ["linux", *parts]
        if len(parts) > 3 or not all(_WORD.fullmatch(part) for part in parts):
            raise PlatformFormatError(f"not a platform: {text!r}", hint="write it as linux/amd64 or linux/arm64/v8")
        system, architecture, *variant = parts
        return cls(system, _ALIASES.get(architecture, architecture), variant[0] if variant else "")

    @classmethod
    def host(cls) -> Self:
        """The platform of this machine."""
        machine = os.uname().machine
        architecture, variant = _MACHINES.get(machine, (machine, ""))
        return cls("linux", architecture, variant)

    def matches(self, other: Platform) -> bool:
        """Whether an image for ``other`` is what somebody means who asks for this platform.

        An absent variant is the architecture's usual one (arm64 is arm64/v8).
        """
        return (self.os, self.architecture, self._variant) == (other.os, other.architecture, other._variant)

    @property
    def _variant(self) -> str:
        return self.variant or _DEFAULT_VARIANTS.get(self.architecture, "")

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))
