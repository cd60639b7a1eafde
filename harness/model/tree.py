"""Trees and layers as plain dicts.

A tree maps each path to a `File`, `Folder`, `Link` or `Fifo` of `harness.trees`, every folder on the way included, the
root left out. A layer is a dict of the same kind that may also hold a `HardLink`, and whiteouts as a tar has them: an
empty file called ``.wh.NAME``, or ``.wh..wh..opq``.

Source: the project's design, "Layers"; OCI image-spec v1.1, layer.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from harness.trees import Content, Fifo, File, Folder, HardLink, Link, clean

Node = File | Folder | Link | Fifo
Item = Node | HardLink
Tree = dict[str, Node]
Layer = Mapping[str, Item]

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
DELETED = File(b"")


def join(folder: str, name: str) -> str:
    """Put a name behind a folder; the root is ``""``."""
    return f"{folder}/{name}" if folder and name else folder or name


def parent(path: str) -> str:
    """Return the folder that a path stands in."""
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


@lru_cache(maxsize=1 << 14)
def folders_above(path: str) -> tuple[str, ...]:
    """Return every folder on the way to a path, outermost first."""
    parts = path.split("/")
    return tuple("/".join(parts[:count]) for count in range(1, len(parts)))


def normal(content: Content) -> Item:
    """Return what a test wrote as one of the values above; text becomes bytes."""
    if content is None:
        return Folder()
    if isinstance(content, str | bytes):
        content = File(content)
    return File(content.data, content.mode) if isinstance(content, File) else content


def complete(written: Mapping[str, Content]) -> dict[str, Item]:
    """Return a tree as a test wrote it with the folders that its paths imply."""
    found = {clean(path): normal(content) for path, content in written.items()}
    for path in list(found):
        for folder in folders_above(path):
            found.setdefault(folder, Folder())
    return found


def is_folder(tree: Mapping[str, Item], path: str) -> bool:
    """Whether a folder stands at a path; at ``""`` one always does."""
    return not path or isinstance(tree.get(path), Folder)


def below(tree: Mapping[str, Item], path: str) -> list[str]:
    """Return every path in the folder ``path``, however deep."""
    start = path + "/" if path else ""
    return [one for one in tree if one.startswith(start)]


def remove(tree: dict[str, Node], path: str) -> None:
    """Take away what stands at a path with all in it; nothing happens where nothing stands."""
    for one in below(tree, path):
        del tree[one]
    tree.pop(path, None)


def put(tree: dict[str, Node], path: str, node: Node) -> None:
    """Put ``node`` at a path, in place of what stood there; a folder keeps what is in it."""
    for folder in folders_above(path):
        if not is_folder(tree, folder):
            tree.pop(folder, None)
            tree[folder] = Folder()
    if not isinstance(node, Folder) and is_folder(tree, path):
        remove(tree, path)
    tree[path] = node


def apply(tree: Mapping[str, Node], layer: Layer) -> Tree:
    """Return the tree that a layer makes of another; what it deletes goes first, wherever the layer says so."""
    result = dict(tree)
    deletions = [path for path in layer if name_of(path).startswith(WHITEOUT)]
    for path in deletions:
        folder, name = parent(path), name_of(path)
        if name == OPAQUE:
            for one in below(result, folder):
                del result[one]
        else:
            remove(result, join(folder, name.removeprefix(WHITEOUT)))
    # What a deletion stands in is a folder, also where that is deleted as well.
    for folder in filter(None, map(parent, deletions)):
        if not is_folder(result, folder):
            put(result, folder, Folder())
    for path, item in layer.items():
        if name_of(path).startswith(WHITEOUT):
            continue
        first = layer[item.path] if isinstance(item, HardLink) else item
        assert not isinstance(first, HardLink)
        put(result, path, first)
    return result


def flatten(layers: tuple[Layer, ...]) -> Tree:
    """Return the tree of a stack of layers, lowest first."""
    tree: Tree = {}
    for layer in layers:
        tree = apply(tree, layer)
    return tree


def diff(lower: Mapping[str, Node], upper: Mapping[str, Node], names: Mapping[str, object]) -> dict[str, Item]:
    """Return the smallest layer that makes ``upper`` of ``lower``, with the folders that its paths stand in.

    Shape: ``names`` says of each path which file it is: equal values are names of one file.
    """
    layer: dict[str, Item] = {}
    first: dict[object, str] = {}
    for path in sorted(upper, key=lambda one: one.split("/")):
        node = upper[path]
        if lower.get(path) != node:
            leader = first.setdefault(names[path], path) if isinstance(node, File) else path
            layer[path] = node if leader == path else HardLink(leader)
    for path in lower:
        if path not in upper and is_folder(upper, parent(path)):
            layer[join(parent(path), WHITEOUT + name_of(path))] = DELETED
    for path in list(layer):
        for folder in folders_above(path):
            layer.setdefault(folder, upper[folder])
    return layer
