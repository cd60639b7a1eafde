"""The parts of an Image document, and how what a base brings is merged with what a Kubefile adds.

Source: the project's design, "Execution" (step 2) and "The store".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import NamedTuple

from kubeimage.image.digest import Digest
from kubeimage.image.oci import MEDIA_TYPE_LAYER, Descriptor
from kubeimage.values import dataclass

MAX_LAYERS = 128
"""An image never has more, its base's layers and those of what is packed included."""

PACKED_KIND, PACKED_VALUE = "BASE", "rootfs cache"
"""Type of the layers that hold what was packed, and how their values begin."""


def merge_commands(first: Sequence[str], then: Sequence[str]) -> tuple[str, ...]:
    """Put ``then`` behind ``first``, without what ``first`` already has; repeats within either stay."""
    return (*first, *(command for command in then if command not in first))


class Commands(NamedTuple):
    """What a cluster runs: inherited commands, then this Kubefile's."""

    parent: tuple[str, ...] = ()
    current: tuple[str, ...] = ()

    @property
    def merged(self) -> tuple[str, ...]:
        """The commands in the order a cluster runs them."""
        return merge_commands(self.parent, self.current)

    @property
    def swallowed(self) -> tuple[str, ...]:
        """This Kubefile's commands that inheritance leaves out, for they are inherited already."""
        return tuple(command for command in self.current if command in self.parent)


class Arguments(NamedTuple):
    """Arguments by name: inherited ones, and this Kubefile's."""

    parent: Mapping[str, str] = MappingProxyType({})
    current: Mapping[str, str] = MappingProxyType({})

    @property
    def merged(self) -> dict[str, str]:
        """The inherited arguments overlaid with this Kubefile's."""
        return {**self.parent, **self.current}


@dataclass(frozen=True)
class Layer:
    """One layer of an image: its tar, and the instruction that made it.

    Shape: ``blob`` is what the manifest names, where that is not the tar itself: a compressed one.
    Units: ``size`` in bytes of the uncompressed tar; ``diff_id`` is that tar's digest.
    """

    diff_id: Digest
    size: int
    kind: str = ""
    value: str = ""
    blob: Descriptor | None = field(default=None, compare=False)

    @property
    def descriptor(self) -> Descriptor:
        """The layer as a manifest names it."""
        return self.blob or Descriptor(MEDIA_TYPE_LAYER, self.diff_id, self.size)


class History(NamedTuple):
    """One instruction in an image's past; ``empty_layer`` where it made no layer.

    Shape: ``comment`` says by which rules it was made: `kubeimage.image.compatibility` reads it.
    """

    created_by: str
    empty_layer: bool = False
    comment: str = ""
