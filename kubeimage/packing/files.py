"""The files of layers, merged, and of a build context, for those who search and verify them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TypeVar

from kubeimage.errors import DiscoveryError
from kubeimage.image.digest import Digest
from kubeimage.layer.content import read_small
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.reader import Content, iter_contents
from kubeimage.layer.tree import Tree
from kubeimage.protocols.layers import LayerStore
from kubeimage.protocols.packing import MadeLayer

T = TypeVar("T")

LARGEST_FILE = 256 << 20
"""Bytes of a file that is read as a whole."""


class _TreeFiles(ABC):
    """What a tree says of its files without their contents."""

    @property
    @abstractmethod
    def tree(self) -> Tree:
        """What stands at which path."""

    def paths(self) -> Sequence[str]:
        """Give the paths of all files and symlinks, sorted."""
        return sorted(path for path, one in self.tree.items() if one.kind in (Kind.FILE, Kind.SYMLINK))

    def is_symlink(self, path: str) -> bool:
        """Whether a path is a symlink."""
        return self.tree[path].kind is Kind.SYMLINK

    def size(self, path: str) -> int:
        """How many bytes a file has."""
        return self.tree[path].size


class LayerFiles(_TreeFiles):
    """The files of a stack of layers, lowest first; each layer is read once for all that is asked of it."""

    def __init__(self, layers: LayerStore, stack: Sequence[MadeLayer]) -> None:
        self._layers = layers
        self._stack = stack

    @cached_property
    def tree(self) -> Tree:
        """What stands at which path.

        Raises: BlobNotFoundError, LayerFormatError.
        """
        tree = Tree()
        for number, layer in enumerate(self._stack):
            entries = self._layers.entries(layer.diff_id) if layer.entries is None else layer.entries
            tree.apply(entries, layer=number)
        return tree

    def read(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Give the contents of these files.

        Raises: DiscoveryError for one that is too large; BlobNotFoundError, LayerFormatError.
        """
        for path in paths:
            check_size(self.tree[path])
        yield from self._each(paths, _read_all)

    def digests(self, paths: Sequence[str]) -> dict[str, Digest]:
        """Give the digests of these files' contents, however large they are.

        Raises: BlobNotFoundError, LayerFormatError.
        """
        return dict(self._each(paths, _hash))

    def _each(self, paths: Iterable[str], take: Callable[[Content], T]) -> Iterator[tuple[str, T]]:
        wanted: dict[int, set[str]] = {}
        for path in paths:
            if self.tree[path].kind is Kind.FILE:
                wanted.setdefault(self.tree.layer_of(path), set()).add(path)
        for number, names in sorted(wanted.items()):
            yield from self._each_of(self._stack[number].diff_id, names, take)

    def _each_of(self, diff_id: Digest, names: set[str], take: Callable[[Content], T]) -> Iterator[tuple[str, T]]:
        with self._layers.open(diff_id) as tar:
            for entry, content in iter_contents(tar):
                if content is not None and entry.path in names:
                    yield entry.path, take(content)


class ContextFiles(_TreeFiles):
    """Files that a build would copy, where they would land."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._tree = Tree(entries)

    @property
    def tree(self) -> Tree:
        """What would stand at which path."""
        return self._tree

    def read(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Give the contents of these files.

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


def _read_all(content: Content) -> bytes:
    return content.read()


def _hash(content: Content) -> Digest:
    return Digest(hashlib.file_digest(content, "sha256").hexdigest())
