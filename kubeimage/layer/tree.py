"""The merged view of a stack of changesets, as data: what stands at which path, and which layer put it there.

Source: OCI image-spec v1.1, layer.md, "Applying Changesets" and "Whiteouts"; where that is silent, overlayfs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Self

from kubeimage.errors import DestinationError, LayerFormatError
from kubeimage.layer.entry import Entry, Kind, directory
from kubeimage.layer.names import ancestors, parent_of

_MOST_SYMLINKS = 40
"""As many as Linux follows on the way to one file."""


class Tree(Mapping[str, Entry]):
    """What a stack of layers looks like from above: path -> Entry, in no particular order.

    Shape: every path's directories are in it; the root is not. It holds no whiteouts and no hard links: a link stands
           as a FILE of its own, since changing one name in a layer above leaves the others as they are.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: dict[str, Entry] = {}
        self._layers: dict[str, int] = {}
        self._children: dict[str, set[str]] = {}
        self.apply(entries)

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def apply(self, changeset: Iterable[Entry], layer: int = 0) -> None:
        """Put ``changeset`` on top; its whiteouts act first, on what is below, wherever they stand in it.

        What a whiteout stands in is a directory from then on, as it is on an overlay.
        Raises: LayerFormatError for a hard link to a path that is no file.
        """
        added = []
        emptied = []
        for entry in changeset:
            if entry.kind is Kind.WHITEOUT:
                self.remove(entry.path)
                emptied.append(parent_of(entry.path))
            elif entry.kind is Kind.OPAQUE:
                self._empty(entry.path)
                emptied.append(entry.path)
            else:
                added.append(entry)
        for path in emptied:
            if path and not self._is_directory(path):
                self.add(directory(path), layer)
        for entry in added:
            self.add(entry, layer)

    def add(self, entry: Entry, layer: int = 0) -> None:
        """Put one entry on top, with the directories it stands in; another type that stands there goes.

        Raises: LayerFormatError for a hard link to a path that is no file.
        """
        path = entry.path
        parent, _, name = path.rpartition("/")
        if entry.kind is Kind.HARDLINK:
            entry = self._resolve_link(entry)
        if parent and not self._is_directory(parent):
            self._add_parents(path, layer)
        if entry.kind is not Kind.DIRECTORY and path in self._children:
            self._empty(path)
        self._entries[path] = entry
        self._layers[path] = layer
        self._children.setdefault(parent, set()).add(name)

    def remove(self, path: str) -> None:
        """Take away what stands at ``path``, and all below it; nothing happens where nothing stands."""
        if path in self._entries:
            self._empty(path)
            del self._entries[path], self._layers[path]
            parent, _, name = path.rpartition("/")
            self._children[parent].discard(name)

    def layer_of(self, path: str) -> int:
        """Return the layer that put there what stands at ``path``.

        Raises: KeyError where nothing stands.
        """
        return self._layers[path]

    def children(self, path: str) -> list[str]:
        """Return the names in the directory ``path`` (``""`` is the root), sorted."""
        return sorted(self._children.get(path, ()))

    def resolve_directory(self, path: str) -> str:
        """Follow the symlinks on the way to ``path`` and at its end, inside the root; what is missing is kept as it is.

        Shape:  ``..`` stays at the root, as it does for a process there. The result is ``""`` for the root.
        Raises: DestinationError where the way runs through something that is no directory, or round in circles.
        """
        todo = path.split("/")[::-1]
        done: list[str] = []
        links = 0
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                del done[-1:]
                continue
            here = "/".join((*done, name))
            found = self._entries.get(here)
            if found is None or found.kind is Kind.DIRECTORY:
                done.append(name)
            elif found.kind is Kind.SYMLINK:
                links += 1
                if links > _MOST_SYMLINKS:
                    raise DestinationError(f"the way to {path!r} in the image runs round in circles, at {here!r}")
                todo += found.target.split("/")[::-1]
                if found.target.startswith("/"):
                    done.clear()
            else:
                raise DestinationError(
                    f"the way to {path!r} in the image runs through {here!r}, which is a {found.kind.value}",
                    hint="choose a destination below a directory",
                )
        return "/".join(done)

    def resolve_leaf(self, path: str) -> str:
        """Follow the symlinks on the way to ``path`` and at its end to what is no symlink, whatever it is.

        Shape:  as of ``resolve_directory``.

        Raises: DestinationError where the way runs through something that is no directory, or round in circles.
        """
        for _ in range(_MOST_SYMLINKS):
            parent, _, name = path.rpartition("/")
            if name in ("", ".", ".."):
                return self.resolve_directory(path)
            here = self.resolve_directory(parent)
            path = f"{here}/{name}" if here else name
            found = self._entries.get(path)
            if found is None or found.kind is not Kind.SYMLINK:
                return path
            target = found.target.rstrip("/")
            path = target.lstrip("/") if target.startswith("/") else f"{here}/{target}"
        raise DestinationError(f"the way to {path!r} in the image runs round in circles")

    def copy(self) -> Self:
        """Return a tree of its own that looks like this one."""
        twin = type(self)()
        children = {path: set(names) for path, names in self._children.items()}
        twin.__dict__.update(_entries=dict(self._entries), _layers=dict(self._layers), _children=children)
        return twin

    def _is_directory(self, path: str) -> bool:
        found = self._entries.get(path)
        return found is not None and found.kind is Kind.DIRECTORY

    def _add_parents(self, path: str, layer: int) -> None:
        for ancestor in ancestors(path):
            if not self._is_directory(ancestor):
                self.add(directory(ancestor), layer)

    def _resolve_link(self, link: Entry) -> Entry:
        first = self._entries.get(link.target)
        if first is None or first.kind is not Kind.FILE:
            raise LayerFormatError(f"the hard link {link.path!r} leads to {link.target!r}, which is no file")
        return first._replace(path=link.path)

    def _empty(self, path: str) -> None:
        """Take away all below ``path``, as far down as it goes."""
        todo = [path]
        while todo:
            parent = todo.pop()
            for name in self._children.pop(parent, ()):
                child = f"{parent}/{name}" if parent else name
                del self._entries[child], self._layers[child]
                todo.append(child)
