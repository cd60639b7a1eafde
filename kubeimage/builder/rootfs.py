"""The merged view of an image's layers while it is built, read only when a step needs it.

A build that finds everything in the cache never looks inside a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from kubeimage.errors import DestinationError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Kind
from kubeimage.protocols.context import CopyRequest
from kubeimage.protocols.layers import LayerStore

if TYPE_CHECKING:
    from kubeimage.layer.tree import Tree


class Rootfs:
    """What stands at which path above a stack of layers."""

    def __init__(self, layers: LayerStore) -> None:
        self._layers = layers
        self._pending: list[tuple[Digest, Sequence[Entry] | None]] = []
        self._stack: list[Digest] = []

    def push(self, diff_id: Digest, entries: Sequence[Entry] | None = None) -> None:
        """Put a layer on top; its entries are read from the store when they are needed, if not given."""
        self._pending.append((diff_id, entries))

    @property
    def diff_ids(self) -> list[Digest]:
        """The layers, lowest first."""
        return [*self._stack, *(diff_id for diff_id, _ in self._pending)]

    def get(self, path: str) -> Entry | None:
        """Give what stands at ``path``."""
        return self._read().get(path)

    def placed(self, request: CopyRequest) -> CopyRequest:
        """Return a request that says whether its destination is a folder by now: Docker's rules ask for it."""
        asks = request.by_docker and not request.into
        return replace(request, into=True) if asks and self.is_directory(request.destination) else request

    def is_directory(self, path: str) -> bool:
        """Whether a directory stands at ``path``, or a symlink leads from there to one."""
        tree = self._read()
        with suppress(DestinationError):
            found = tree.get(tree.resolve_directory(path))
            return found is not None and found.kind is Kind.DIRECTORY
        return False

    def resolve_directory(self, path: str) -> str:
        """Follow the symlinks on the way to ``path``, inside the root.

        Raises: DestinationError where the way runs through a file or round in circles.
        """
        return self._read().resolve_directory(path)

    def holds(self, entries: Sequence[Entry]) -> bool:
        """Whether every one of ``entries`` (with digests) stands there already, contents included."""
        from kubeimage.layer.diff import is_same

        tree = self._read()
        if any(entry.path not in tree for entry in entries):
            return False
        pairs = [(entry, tree[entry.path]) for entry in _without_hard_links(entries)]
        if not all(is_same(old, new, same_content=_any) for new, old in pairs):
            return False
        # Contents last: reading them is what takes time.
        files = [(new, old) for new, old in pairs if new.kind is Kind.FILE]
        digests = self._content_digests({old.path for _, old in files if old.digest is None})
        return all(new.digest == (old.digest or digests[old.path]) for new, old in files)

    def _read(self) -> Tree:
        for diff_id, entries in self._pending:
            self._tree.apply(self._layers.entries(diff_id) if entries is None else entries, layer=len(self._stack))
            self._stack.append(diff_id)
        self._pending.clear()
        return self._tree

    @cached_property
    def _tree(self) -> Tree:
        from kubeimage.layer.tree import Tree

        return Tree()

    def _content_digests(self, paths: set[str]) -> dict[str, bytes]:
        """Read the contents that nobody has digested yet."""
        from kubeimage.layer.contents import content_digests

        return content_digests(self._tree, paths, lambda layer: self._layers.open(self._stack[layer]))


def _without_hard_links(entries: Sequence[Entry]) -> list[Entry]:
    """Return ``entries`` as a tree has them, which knows no hard links: each name is a file of its own."""
    named = {entry.path: entry for entry in entries}
    return [named[one.target]._replace(path=one.path) if one.kind is Kind.HARDLINK else one for one in entries]


def _any(_old: Entry, _new: Entry) -> bool:
    """Contents are read last, and only if all else is the same."""
    return True
