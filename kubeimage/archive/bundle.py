"""What an archive says of itself that is not whole alone: one that leaves something out, or one part of several.

kubeimage-bundle.json   what it brings, what it leaves out, and which members all parts have together
kubeimage-part.json     which part it is, of which bundle
SHA256SUMS              of all that stands before it in a part, as sha256sum -c reads it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, NamedTuple, Self

from kubeimage.errors import ArchiveError, KubeimageError
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.values import dataclass

BUNDLE, PART, SUMS = "kubeimage-bundle.json", "kubeimage-part.json", "SHA256SUMS"

_VERSION = 1
_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)


class LeftOut(NamedTuple):
    """A layer that the receiver has. Shape: ``image`` is one of the receiver's that has it, None where it has none."""

    digest: Digest
    size: int
    image: Reference | None = None


class MemberSize(NamedTuple):
    """A member of the whole archive. Units: bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class Bundle:
    """What an archive says of itself.

    Shape: ``images`` are those it brings, with their manifests. ``since`` are those of the receiver that have what is
           left out, with what they were. ``members`` are all of the archive, where it is in parts.
    Units: ``part_size`` in bytes, that no part is larger than.
    """

    images: tuple[tuple[str, Digest], ...] = ()
    since: Mapping[Reference, Digest] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    members: tuple[MemberSize, ...] = ()
    part_size: int | None = None

    def to_bytes(self) -> bytes:
        """Return the file: the same bytes for the same bundle."""
        return canonical.encode(
            {
                "version": _VERSION,
                "images": [{"name": name, "manifest": str(digest)} for name, digest in self.images],
                "since": [{"name": str(name), "manifest": str(digest)} for name, digest in self.since.items()],
                "left_out": [
                    {
                        "digest": str(one.digest),
                        "size": one.size,
                        "image": str(one.image) if one.image is not None else None,
                    }
                    for one in self.left_out
                ],
                "members": [{"name": one.name, "size": one.size} for one in self.members],
                "part_size": self.part_size,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the file.

        Raises: ArchiveError where it is none.
        """
        try:
            value = canonical.decode(data)
            _check_version(value["version"])
            return cls(
                tuple((str(one["name"]), Digest.parse(one["manifest"])) for one in value["images"]),
                {Reference.parse(one["name"]): Digest.parse(one["manifest"]) for one in value["since"]},
                tuple(_read_left_out(one) for one in value["left_out"]),
                tuple(MemberSize(str(one["name"]), _number(one["size"])) for one in value["members"]),
                None if value["part_size"] is None else _number(value["part_size"]),
            )
        except ArchiveError:
            raise
        except _BAD as error:
            raise ArchiveError(f"its {BUNDLE} cannot be understood: {error}") from error


class PartOf(NamedTuple):
    """Which part of a bundle an archive is. Shape: ``bundle`` is the digest of its description; ``number`` from 1."""

    bundle: Digest
    number: int
    total: int

    def to_bytes(self) -> bytes:
        """Return the file."""
        value = {"version": _VERSION, "bundle": str(self.bundle), "part": self.number, "parts": self.total}
        return canonical.encode(value)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the file.

        Raises: ArchiveError where it is none.
        """
        try:
            value = canonical.decode(data)
            _check_version(value["version"])
            part = cls(Digest.parse(value["bundle"]), _number(value["part"]), _number(value["parts"]))
        except ArchiveError:
            raise
        except _BAD as error:
            raise ArchiveError(f"its {PART} cannot be understood: {error}") from error
        if not 1 <= part.number <= part.total:
            raise ArchiveError(f"it says that it is part {part.number} of {part.total}")
        return part


def _read_left_out(one: Any) -> LeftOut:
    image = one["image"]
    return LeftOut(Digest.parse(one["digest"]), _number(one["size"]), Reference.parse(image) if image else None)


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"a number was wanted, found {value!r}")
    return value


def _check_version(version: object) -> None:
    if version != _VERSION:
        raise ArchiveError(f"it is a bundle of version {version!r}; this kubeimage reads {_VERSION}")
