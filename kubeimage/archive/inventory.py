"""What a place has: the digests of images and of their blobs, as text or JSON that can be read back.

    KIND    DIGEST    SIZE   IMAGE
    image   sha256:…  1024   docker.io/library/app:v1
    layer   sha256:…  77824  docker.io/library/app:v1

A blob is listed once, with the first image that has it. A list of digests, one on each line, is an inventory too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from kubeimage.errors import ArchiveError, DigestFormatError, ReferenceFormatError
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.fields import expect
from kubeimage.image.reference import Reference
from kubeimage.values import dataclass

HEADER = ("KIND", "DIGEST", "SIZE", "IMAGE")
KINDS = ("image", "manifest", "config", "layer", "blob")

_VERSION = 1
_NONE = "-"


class InventoryRow(NamedTuple):
    """One blob.

    Shape: ``kind`` ``image`` is what a name leads to: a manifest, or an index. ``image`` is the name of the first image
           that has the blob, None where it has none.
    Units: ``size`` in bytes of the blob as it is kept, None where nobody says.
    """

    kind: str
    digest: Digest
    size: int | None = None
    image: Reference | None = None


@dataclass(frozen=True)
class Inventory:
    """What a place has. Shape: ``warnings`` name the images that are damaged there, and are left out."""

    rows: tuple[InventoryRow, ...]
    warnings: tuple[str, ...] = ()

    @property
    def digests(self) -> frozenset[Digest]:
        """All blobs."""
        return frozenset(row.digest for row in self.rows)

    @property
    def images(self) -> Mapping[Reference, Digest]:
        """What names lead to."""
        return {row.image: row.digest for row in self.rows if row.kind == "image" and row.image is not None}

    def owner_of(self, digest: Digest) -> Reference | None:
        """Return the name of the first image that has a blob."""
        return next((row.image for row in self.rows if row.digest == digest and row.image is not None), None)

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the columns of a table."""
        return HEADER

    def cells(self) -> list[tuple[str, str, str, str]]:
        """Return the rows of a table, as texts."""
        return [
            (
                row.kind,
                str(row.digest),
                _NONE if row.size is None else str(row.size),
                str(row.image) if row.image is not None else _NONE,
            )
            for row in self.rows
        ]

    def to_json(self) -> dict[str, object]:
        """Return the inventory as a JSON object."""
        rows = [
            {
                "kind": row.kind,
                "digest": str(row.digest),
                "size": row.size,
                "image": str(row.image) if row.image is not None else None,
            }
            for row in self.rows
        ]
        return {"version": _VERSION, "blobs": rows}

    @classmethod
    def parse(cls, data: bytes, *, what: str) -> Self:
        """Read an inventory, text or JSON; errors call it ``what``.

        Raises: ArchiveError with the line that is none.
        """
        text = data.decode("utf-8", "replace").lstrip("\ufeff")
        if text.lstrip().startswith("{"):
            return cls(tuple(_unique(_rows_of_json(data, what))))
        lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
        return cls(tuple(_unique(_parse_line(words, f"{what}:{number}") for number, words in lines if _says(words))))


def _says(words: list[str]) -> bool:
    return bool(words) and not words[0].startswith("#") and tuple(words) != HEADER


def _parse_line(words: list[str], where: str) -> InventoryRow:
    if len(words) == 1:
        return _row("blob", words[0], _NONE, _NONE, where)
    if len(words) != len(HEADER):
        raise ArchiveError(f"{where}: a line of an inventory has a kind, a digest, a size and an image", hint=_WRITE)
    return _row(words[0], words[1], words[2], words[3], where)


def _rows_of_json(data: bytes, what: str) -> Iterable[InventoryRow]:
    try:
        value = canonical.decode(data)
        if value.get("version") != _VERSION:
            raise ArchiveError(f"{what} is an inventory of version {value.get('version')!r}; this kubeimage reads 1")
        for number, one in enumerate(expect(value["blobs"], list, "its list of blobs"), 1):
            size, image = (_NONE if one[key] is None else str(one[key]) for key in ("size", "image"))
            yield _row(str(one["kind"]), str(one["digest"]), size, image, where=f"{what}: blob {number}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArchiveError(f"{what} is no inventory: {error}", hint=_WRITE) from error


def _row(kind: str, digest: str, size: str, image: str, where: str) -> InventoryRow:
    try:
        known = Digest.parse(digest)
        name = None if image == _NONE else Reference.parse(image)
    except (DigestFormatError, ReferenceFormatError) as error:
        raise ArchiveError(f"{where}: {error.message}", hint=_WRITE) from error
    if kind not in KINDS:
        raise ArchiveError(f"{where}: an inventory lists {', '.join(KINDS)}, found {kind!r}", hint=_WRITE)
    if size != _NONE and not (size.isascii() and size.isdigit()):
        raise ArchiveError(f"{where}: a size is a number of bytes, found {size!r}", hint=_WRITE)
    return InventoryRow(kind, known, None if size == _NONE else int(size), name)


def _unique(rows: Iterable[InventoryRow]) -> Iterable[InventoryRow]:
    """Leave out what is said again; an image stays under each of its names."""
    seen: set[tuple[str, Digest, Reference | None]] = set()
    for row in rows:
        key = (row.kind, row.digest, row.image if row.kind == "image" else None)
        if key not in seen:
            seen.add(key)
            yield row


_WRITE = "kubeimage inventory > FILE writes one"


def make_inventory(rows: Iterable[InventoryRow], warnings: Iterable[str] = ()) -> Inventory:
    """Return an inventory in which each blob is listed once."""
    return Inventory(tuple(_unique(rows)), tuple(warnings))
