"""A stack of layers, seen from above: what stands at which path, and what it holds.

Nothing is read before somebody asks. A build that finds everything in the cache never looks inside a layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Protocol

from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Kind
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.layer.reader import Content
    from kubeimage.layer.tree import Tree


class LayerReader(Protocol):
    """What a stack asks of a store of layers."""

    def open(self, diff_id: Digest) -> BinaryIO: ...
    def entries(self, diff_id: Digest) -> Iterator[Entry]: ...


@dataclass(frozen=True)
class StackedLayer:
    """One layer of a stack. Shape: ``entries`` are what is in it, None where they must be read."""

    diff_id: Digest
    entries: Sequence[Entry] | None = None

    def entries_in(self, store: LayerReader) -> Iterable[Entry]:
        """Return the entries, from ``store`` where they are not known.

        Raises: BlobNotFoundError, LayerFormatError.
        """
        return store.entries(self.diff_id) if self.entries is None else self.entries


class LayerStack:
    """Layers and their merged tree. Shape: ``layers`` come lowest first."""

    def __init__(self, store: LayerReader, layers: Iterable[StackedLayer] = ()) -> None:
        self._store = store
        self.layers = list(layers)
        self._merged = 0

    def push(self, layer: StackedLayer) -> None:
        """Put a layer on top."""
        self.layers.append(layer)

    @property
    def diff_ids(self) -> list[Digest]:
        """The layers' digests, lowest first."""
        return [layer.diff_id for layer in self.layers]

    @property
    def tree(self) -> Tree:
        """What stands at which path.

        Raises: BlobNotFoundError, LayerFormatError.
        """
        for layer in self.layers[self._merged :]:
            self._tree.apply(layer.entries_in(self._store), layer=self._merged)
            self._merged += 1
        return self._tree

    def layer_of(self, path: str) -> Digest:
        """Return the layer that put there what stands at ``path``.

        Raises: KeyError where nothing stands.
        """
        return self.layers[self.tree.layer_of(path)].diff_id

    def contents(self, paths: Iterable[str]) -> Iterator[tuple[str, Content]]:
        """Yield the content of each FILE of ``paths``; each layer that has some of them is read once.

        Shape:  the order is that of the layers. A content can be read until the next one is asked for.
        Raises: KeyError where nothing stands; BlobNotFoundError, LayerFormatError.
        """
        from kubeimage.layer.reader import iter_contents

        tree = self.tree
        wanted: dict[int, set[str]] = {}
        for path in paths:
            if tree[path].kind is Kind.FILE:
                wanted.setdefault(tree.layer_of(path), set()).add(path)
        for number, names in sorted(wanted.items()):
            with self._store.open(self.layers[number].diff_id) as tar:
                for entry, content in iter_contents(tar):
                    if content is not None and entry.path in names:
                        yield entry.path, content

    def digests(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the sha256 (32 bytes) of the content of each FILE of ``paths``.

        Raises: as ``contents``.
        """
        import hashlib

        return {path: hashlib.file_digest(content, "sha256").digest() for path, content in self.contents(paths)}

    def holds(self, entries: Sequence[Entry], *, owners: bool = False) -> bool:
        """Return whether every one of ``entries`` (with digests) stands there already, contents included.

        With ``owners`` it must belong to the same user and group, too.
        """
        from kubeimage.layer.diff import is_same

        tree = self.tree
        if any(entry.path not in tree for entry in entries):
            return False
        pairs = [(entry, tree[entry.path]) for entry in _without_hard_links(entries)]
        if not all(is_same(old, new, same_content=lambda _old, _new: True) for new, old in pairs):
            return False
        if owners and any(new.owner != old.owner for new, old in pairs):
            return False
        # Contents last: reading them is what takes time.
        files = [(new, old) for new, old in pairs if new.kind is Kind.FILE]
        digests = self.digests(old.path for _, old in files if old.digest is None)
        return all(new.digest == (old.digest or digests[old.path]) for new, old in files)

    @cached_property
    def _tree(self) -> Tree:
        from kubeimage.layer.tree import Tree

        return Tree()


def _without_hard_links(entries: Sequence[Entry]) -> list[Entry]:
    """Return ``entries`` as a tree has them, which knows no hard links: each name is a file of its own."""
    named = {entry.path: entry for entry in entries}
    return [named[one.target]._replace(path=one.path) if one.kind is Kind.HARDLINK else one for one in entries]
