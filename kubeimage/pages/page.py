"""What a page shows, as data that can be written to JSON and read again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

Verdict = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """One verdict.

    Shape: ``text`` says why it is not ``passed``, or what it warned of.
    Units: ``seconds`` that it took, None if nobody knows.
    """

    name: str
    verdict: Verdict
    text: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class LayerRow:
    """One instruction and the layer that it made.

    Shape: ``digest`` is empty where it made none. ``how`` says that it came from the cache, or why it did not.
    Units: ``size`` and ``wasted`` in bytes; ``seconds`` is None where nobody measured.
    """

    instruction: str
    size: int = 0
    wasted: int = 0
    digest: str = ""
    how: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class FileNode:
    """A file, or a folder with what is in it.

    Units: ``size`` in bytes, of a folder all that is below it. ``count`` is the number of files.
    """

    name: str
    size: int = 0
    count: int = 1
    kind: str = "file"
    layer: int = 0
    children: tuple[FileNode, ...] = ()


@dataclass(frozen=True)
class ChangeRow:
    """A path that is not as it was. Shape: ``change`` is added, removed or changed."""

    path: str
    change: str
    what: str = ""


@dataclass(frozen=True)
class PackedRow:
    """A container image. Shape: ``where`` are places that name it; ``problem`` is empty where it is whole."""

    name: str
    where: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class ImagePage:
    """All that is shown of one image, or of one Kubefile. Shape: ``facts`` are names and values, in their order."""

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    checks: tuple[Check, ...] = ()
    layers: tuple[LayerRow, ...] = ()
    files: FileNode = field(default_factory=lambda: FileNode("", 0, 0, "directory"))
    against: str = ""
    changes: tuple[ChangeRow, ...] = ()
    packed: tuple[PackedRow, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether nothing failed."""
        return all(check.verdict != "failed" for check in self.checks)

    def to_json(self) -> str:
        """Return the page as JSON, for another process to read."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        data = json.loads(text)
        return cls(
            title=data["title"],
            facts=_pairs(data["facts"]),
            checks=tuple(Check(**one) for one in data["checks"]),
            layers=tuple(LayerRow(**one) for one in data["layers"]),
            files=_node(data["files"]),
            against=data["against"],
            changes=tuple(ChangeRow(**one) for one in data["changes"]),
            packed=tuple(PackedRow(one["name"], tuple(one["where"]), one["problem"]) for one in data["packed"]),
            skipped=_pairs(data["skipped"]),
        )


def _pairs(values: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in values)


def _node(data: dict[str, Any]) -> FileNode:
    return FileNode(**{**data, "children": tuple(_node(child) for child in data["children"])})
