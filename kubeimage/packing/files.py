"""The files of layers, merged, and of a build context, for those who search and verify them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

from kubeimage.errors import DiscoveryError
from kubeimage.image.digest import Digest
from kubeimage.layer.content import read_small
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.stack import LayerReader, LayerStack, StackedLayer
from kubeimage.layer.tree import Tree

LARGEST_FILE = 256 << 20
"""Bytes of a file that is read as a whole."""


class _TreeFiles(ABC):
    """What a tree says of its files without their contents."""

    @property
    @abstractmethod
    def tree(self) -> Tree:
        """What stands at which path."""

    def paths(self) -> Sequence[str]:
        """Return the paths of all files and symlinks, sorted."""
        return sorted(path for path, one in self.tree.items() if one.kind in (Kind.FILE, Kind.SYMLINK))

    def is_symlink(self, path: str) -> bool:
        """Whether a path is a symlink."""
        return self.tree[path].kind is Kind.SYMLINK

    def size(self, path: str) -> int:
        """How many bytes a file has."""
        return self.tree[path].size


class LayerFiles(_TreeFiles):
    """The files of a stack of layers, lowest first."""

    def __init__(self, store: LayerReader, layers: Iterable[StackedLayer]) -> None:
        self._stack = LayerStack(store, layers)

    @property
    def stack(self) -> LayerStack:
        """The layers."""
        return self._stack

    @property
    def tree(self) -> Tree:
        """What stands at which path.

        Raises: BlobNotFoundError, LayerFormatError.
        """
        return self._stack.tree

    def read(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the contents of these files; each layer is read once.

        Raises: DiscoveryError for one that is too large; BlobNotFoundError, LayerFormatError.
        """
        for path in paths:
            check_size(self.tree[path])
        for path, content in self._stack.contents(paths):
            yield path, content.read()

    def digests(self, paths: Sequence[str]) -> dict[str, Digest]:
        """Return the digests of these files' contents, however large they are.

        Raises: BlobNotFoundError, LayerFormatError.
        """
        return {path: Digest(found.hex()) for path, found in self._stack.digests(paths).items()}


class ContextFiles(_TreeFiles):
    """Files that a build would copy, where they would land."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._tree = Tree(entries)

    @property
    def tree(self) -> Tree:
        """What would stand at which path."""
        return self._tree

    def read(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the contents of these files.

        Raises: DiscoveryError for one that is too large; ContextError.
        """
        for path in paths:
            entry = self.tree[path]
            check_size(entry)
            source = entry.source
            yield path, read_small(entry, source)[0] if isinstance(source, str) else source or b""


def check_size(entry: Entry) -> None:
    """Refuse a file that is too large to be what names images.

    Raises: DiscoveryError.
    """
    if entry.size > LARGEST_FILE:
        raise DiscoveryError(
            f"{entry.path!r} has {entry.size} bytes; what names images has up to {LARGEST_FILE >> 20} MiB",
            hint="move it out of manifests/ and charts/",
        )
