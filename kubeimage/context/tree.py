"""A build context as something to look at: what a search asks, whatever the context is kept in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class Node(NamedTuple):
    """What stands at a path: ``target`` is a symlink's text, None for all else."""

    is_directory: bool
    target: str | None = None


class Tree(Protocol):
    """A build context to look at. Paths are relative to its root, ``""`` is the root itself."""

    @property
    def label(self) -> str:
        """What a person calls the context."""
        ...

    def look(self, path: str) -> Node | None:
        """Say what stands at ``path``, its last part not followed; None if nothing does."""
        ...

    def names(self, path: str) -> Iterable[str]:
        """List the directory ``path``."""
        ...

    def begins(self, path: str, start: bytes) -> bool:
        """Whether a regular file stands at ``path`` that begins so; one that cannot be read does not."""
        ...
