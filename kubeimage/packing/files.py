"""The files of layers, merged, and of a build context, for those who search and verify them."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from kubeimage.errors import DiscoveryError, UnreadableSourceError
from kubeimage.image.digest import Digest
from kubeimage.layer.content import read_small, reading_hint
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


class FolderFiles:
    """The files of a folder on disk whose paths in it begin with one of ``places``."""

    def __init__(self, folder: str, places: Sequence[str]) -> None:
        self._folder = os.path.realpath(folder)
        self._places = tuple(places)

    def paths(self) -> Sequence[str]:
        """Return the paths of all files and symlinks, sorted.

        Raises: ContextError.
        """
        return sorted(self._found)

    def is_symlink(self, path: str) -> bool:
        """Whether a path is a symlink."""
        return stat.S_ISLNK(self._found[path].st_mode)

    def size(self, path: str) -> int:
        """How many bytes a file has."""
        return self._found[path].st_size

    def read(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the contents of these files.

        Raises: DiscoveryError for one that is too large; ContextError.
        """
        for path in paths:
            entry = Entry(path, Kind.FILE, size=self.size(path))
            check_size(entry)
            yield path, read_small(entry, os.path.join(self._folder, path))[0]

    @cached_property
    def _found(self) -> dict[str, os.stat_result]:
        found: dict[str, os.stat_result] = {}
        todo = [""]
        while todo:
            folder = todo.pop()
            try:
                inside = sorted(os.scandir(os.path.join(self._folder, folder)), key=lambda one: one.name)
                states = {f"{folder}{one.name}": one.stat(follow_symlinks=False) for one in inside}
            except OSError as error:
                raise UnreadableSourceError(
                    f"cannot read {os.path.join(self._folder, folder)!r}: {error.strerror}", hint=reading_hint(error)
                ) from error
            for path, status in states.items():
                if stat.S_ISDIR(status.st_mode) and self._may_hold(f"{path}/"):
                    todo.append(f"{path}/")
                elif path.startswith(self._places) and (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
                    found[path] = status
        return found

    def _may_hold(self, folder: str) -> bool:
        return any(folder.startswith(place) or place.startswith(folder) for place in self._places)


def check_size(entry: Entry) -> None:
    """Refuse a file that is too large to be what names images.

    Raises: DiscoveryError.
    """
    if entry.size > LARGEST_FILE:
        raise DiscoveryError(
            f"{entry.path!r} has {entry.size} bytes; what names images has up to {LARGEST_FILE >> 20} MiB",
            hint="move it out of manifests/ and charts/",
        )
