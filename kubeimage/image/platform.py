"""Platforms: which machines an image is for.

An absent variant is the architecture's usual one: arm64 is arm64/v8, arm is arm/v7, amd64 is amd64/v1. A machine of a
later variant runs images for an earlier one, so where there is none for it, the latest of the earlier ones is taken:
arm/v7 takes arm/v6 and arm/v5, amd64/v3 takes amd64/v2 and amd64, arm64/v9 takes arm64. Never the other way round, and
never another architecture.

Source: OCI image-spec v1.1, image-index.md, "platform"; names are Go's GOOS and GOARCH.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Self, TypeVar

from kubeimage.errors import PlatformFormatError
from kubeimage.values import dataclass

T = TypeVar("T")

_WORD = r"[a-z0-9][a-z0-9._-]*"
_ALSO_RUNS = {"amd64": "386", "arm64": "arm"}
_GENERATION = r"v([0-9]{1,3})"
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


@dataclass(frozen=True, order=True)
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
        if len(parts) > 3 or not all(re.fullmatch(_WORD, part) for part in parts):
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
        return (self.os, self.architecture, self.usual_variant) == (other.os, other.architecture, other.usual_variant)

    def is_alike(self, other: Platform) -> bool:
        """Whether both are one system and architecture: configs and indexes often differ about the variant."""
        return (self.os, self.architecture) == (other.os, other.architecture)

    def accepts(self, other: Platform) -> bool:
        """Whether a machine of this platform runs an image for ``other``: the same variant, or an earlier one."""
        if self.matches(other):
            return True
        if not self.is_alike(other):
            return False
        own, their = _generation(self.usual_variant), _generation(other.usual_variant)
        return own is not None and their is not None and their <= own

    def runs(self, other: Platform) -> bool:
        """Whether a machine of this platform can run programs for ``other`` itself, whatever the variant."""
        return self.is_alike(other) or (self.os == other.os and other.architecture == _ALSO_RUNS.get(self.architecture))

    def choose(self, found: Sequence[T], platform_of: Callable[[T], Platform]) -> list[T]:
        """Return those of ``found`` that this platform accepts, the best first; equals stay in their order."""
        known = [(platform_of(one), one) for one in found]
        accepted = [(platform, one) for platform, one in known if self.accepts(platform)]
        accepted.sort(key=lambda pair: (not self.matches(pair[0]), -(_generation(pair[0].usual_variant) or 0)))
        return [one for _, one in accepted]

    @property
    def usual_variant(self) -> str:
        return self.variant or _DEFAULT_VARIANTS.get(self.architecture, "")

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def _generation(variant: str) -> int | None:
    """Return the number of a variant such as ``v7``."""
    match = re.fullmatch(_GENERATION, variant)
    return int(match[1]) if match else None
