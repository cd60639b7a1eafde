"""What nothing refers to, as it is found and as it is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from kubeimage.store.files import tree_size
from kubeimage.values import dataclass

GarbageKind = Literal["blob", "snapshot", "cache", "record", "leftover"]


class Garbage(NamedTuple):
    """Something that nothing refers to. Units: ``size`` in bytes of all files, each counted once."""

    kind: GarbageKind
    name: str
    size: int


@dataclass(frozen=True)
class GarbageReport:
    """What was removed, or would be."""

    items: tuple[Garbage, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all items together."""
        return sum(item.size for item in self.items)

    def size_of(self, kind: GarbageKind) -> int:
        """The bytes of all items of one kind."""
        return sum(item.size for item in self.items if item.kind == kind)


class Candidate(NamedTuple):
    """Something that may be removed."""

    kind: GarbageKind
    name: str
    path: str


def report_of(candidates: Iterable[Candidate]) -> GarbageReport:
    """Return what candidates take, as they are now."""
    return GarbageReport(tuple(Garbage(one.kind, one.name, tree_size(one.path)) for one in candidates))
