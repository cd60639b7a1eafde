"""What a lock says: the digest of everything that a Kubefile names and does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Self, TypeVar

from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.values import dataclass

SUFFIX = ".lock"
"""What a lock's name has behind the Kubefile's."""

FIRST_LINE = "# The lock of a Kubefile, made by kubeimage lock."
"""How each lock begins, whatever it is called."""

KNOWN_NAMES = frozenset(
    f"{name}{SUFFIX}" for name in ("Kubefile", "kubefile", "Sealfile", "Dockerfile", "Containerfile")
)
"""The names of locks whose Kubefile is found by itself."""


@dataclass(frozen=True)
class LockedImage:
    """An image: a base, or one to be packed.

    Shape: ``digest`` is of what the name led to: an index, or a manifest. ``platforms`` has the manifest of each
           platform that there is. ``only`` are the platforms that it is named for, empty for all of the lock's.
    """

    name: Reference
    digest: Digest
    platforms: Mapping[Platform, Digest] = field(default_factory=dict)
    only: tuple[Platform, ...] = ()

    @property
    def key(self) -> str:
        """What it is found by."""
        return str(self.name)

    def manifest_for(self, platform: Platform) -> Digest | None:
        """Return the manifest for a platform, None where there is none."""
        found = platform.choose(list(self.platforms), lambda one: one)
        return self.platforms[found[0]] if found else None


@dataclass(frozen=True)
class LockedChart:
    """A chart.

    Shape: ``path`` is where it stands in the image; ``name`` and ``version`` are its Chart.yaml's, empty where that
           says none. ``digest`` is of all its files.
    """

    path: str
    name: str
    version: str
    digest: Digest
    only: tuple[Platform, ...] = ()

    @property
    def key(self) -> str:
        """What it is found by."""
        return self.path


@dataclass(frozen=True)
class LockedURL:
    """A file from the network. Shape: ``digest`` is of its bytes."""

    url: str
    digest: Digest
    only: tuple[Platform, ...] = ()

    @property
    def key(self) -> str:
        """What it is found by."""
        return self.url


Entry = LockedImage | LockedChart | LockedURL
EntryT = TypeVar("EntryT", LockedImage, LockedChart, LockedURL)


@dataclass(frozen=True)
class Lock:
    """The lock of one Kubefile.

    Shape: ``platforms`` are those that the project was looked at for. ``bases`` are the images that FROM and
           ``COPY --from`` name; ``images`` are those to be packed. All are sorted by their keys.
    """

    platforms: tuple[Platform, ...]
    bases: tuple[LockedImage, ...] = ()
    images: tuple[LockedImage, ...] = ()
    charts: tuple[LockedChart, ...] = ()
    urls: tuple[LockedURL, ...] = ()

    def base(self, name: Reference) -> LockedImage | None:
        """Return the entry of a base, None where there is none."""
        return next((one for one in self.bases if one.name == name), None)

    def for_platform(self, platform: Platform) -> Self:
        """Return what of it is about one platform; ``platforms`` is empty where it knows nothing of that."""
        known = platform.choose(list(self.platforms), lambda one: one)
        return type(self)(
            tuple(known[:1]),
            _about(self.bases, known),
            _about(self.images, known),
            _about(self.charts, known),
            _about(self.urls, known),
        )


def _about(entries: Iterable[EntryT], platforms: list[Platform]) -> tuple[EntryT, ...]:
    return tuple(one for one in entries if platforms and (not one.only or platforms[0] in one.only))


__all__ = [
    "FIRST_LINE",
    "KNOWN_NAMES",
    "SUFFIX",
    "Entry",
    "Lock",
    "LockedChart",
    "LockedImage",
    "LockedURL",
]
