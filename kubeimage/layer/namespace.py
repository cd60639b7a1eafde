"""The names that a tar has used so far, and what they forbid the entries that follow.

An archive that says two things of one path could be read differently by different tools, and one that puts something
below a symlink is an attack: neither is a layer.
"""

from __future__ import annotations

from kubeimage.errors import LayerFormatError, LayerTooLargeError
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.names import ancestors, check_path, parent_of

_MOST_IMPLIED = 256 << 20
"""Characters in the names of directories that only other names imply: a short tar can imply very many."""


class Namespace:
    """Takes the entries in the tar's order and refuses what contradicts an earlier one."""

    def __init__(self) -> None:
        self._directories: set[str] = {""}
        # Everything else by its name in the tar (a whiteout's is its marker's), and where its content begins.
        self._leaves: dict[str, tuple[Entry, int]] = {}
        self._implied = 0

    def add_directory(self, path: str) -> None:
        """Take a directory; it may come again, or after what stands in it."""
        if path not in self._directories:
            self._refuse_leaf(path, path)
            self._add_parents(path)
            self._directories.add(path)

    def add_leaf(self, name: str, entry: Entry, offset: int) -> None:
        """Take anything else, whose content begins at ``offset``."""
        if name in self._directories:
            raise LayerFormatError(f"{name!r} is in the layer as a directory, and as a {entry.kind.value} as well")
        if name in self._leaves:
            raise LayerFormatError(f"{name!r} is in the layer twice")
        if parent_of(name) not in self._directories:
            self._add_parents(name)
        self._leaves[name] = entry, offset

    def resolve(self, path: str, target: str) -> tuple[Entry, int]:
        """Return what the hard link ``path`` is, and where its content begins.

        It is a link to the FILE, or the same again as what is no FILE.
        """
        check_path(target)
        if target not in self._leaves:
            raise LayerFormatError(f"the hard link {path!r} leads to {target!r}, which does not come before it")
        first, offset = self._leaves[target]
        if first.kind is Kind.FILE:
            return first._replace(path=path, kind=Kind.HARDLINK, size=0, target=first.path, xattrs=()), offset
        return first._replace(path=path), offset

    def size_of(self, path: str) -> int:
        """Return the size of the FILE ``path``."""
        return self._leaves[path][0].size

    def _add_parents(self, path: str) -> None:
        for ancestor in ancestors(path):
            if ancestor not in self._directories:
                self._refuse_leaf(ancestor, path)
                self._directories.add(ancestor)
                self._implied += len(ancestor)
        if self._implied > _MOST_IMPLIED:
            raise LayerTooLargeError(f"the layer implies more directories than anybody has, the last for {path!r}")

    def _refuse_leaf(self, ancestor: str, path: str) -> None:
        if ancestor in self._leaves:
            kind = self._leaves[ancestor][0].kind.value
            what = "a directory" if path == ancestor else f"the directory of {path!r}"
            raise LayerFormatError(f"{ancestor!r} is in the layer as a {kind}, and as {what} as well")
