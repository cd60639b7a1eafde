"""Trees in which each path also has an owner.

Source: OCI image-spec v1.1, layer.md; docs/kubefile-sealos.md, "COPY".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from harness.model.failure import Failed
from harness.model.tree import Node, folders_above, join
from harness.trees import Folder, Link

Owner = tuple[int, int]

ROOT: Owner = (0, 0)
_MOST_LINKS = 40


class Owned(NamedTuple):
    """What stands at a path, and whose it is: numbers of user and group."""

    node: Node
    owner: Owner = ROOT

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return isinstance(self.node, Folder)


OwnedTree = Mapping[str, Owned]


def is_folder(tree: OwnedTree, path: str) -> bool:
    """Whether a folder stands at a path; at ``""`` one always does."""
    return not path or (path in tree and tree[path].is_folder)


def below(tree: OwnedTree, path: str) -> list[str]:
    """Return every path in a folder, sorted."""
    return sorted(one for one in tree if one.startswith(f"{path}/" if path else ""))


def names(tree: OwnedTree, path: str) -> list[str]:
    """List a folder, sorted."""
    start = len(path) + 1 if path else 0
    return sorted({one[start:] for one in below(tree, path) if "/" not in one[start:]})


def ways(path: str) -> Iterator[str]:
    """Yield every folder on the way to a path, and the path; nothing for the root."""
    if path:
        yield from folders_above(path)
        yield path


def laid_over(tree: OwnedTree, added: OwnedTree) -> dict[str, Owned]:
    """Return a tree with another one laid over it: what is no folder takes the place of all that stood there."""
    result = dict(tree)
    for path in sorted(added):
        if not added[path].is_folder:
            for inner in below(result, path):
                del result[inner]
        result[path] = added[path]
    return result


def followed(tree: OwnedTree, path: str) -> str | None:
    """Return what the symlinks on the way to a path, and at it, lead to; None where that is nothing."""

    def there(place: str, found: Owned | None) -> None:
        if found is None:
            raise Failed("E0307", f"there is no {place!r}")

    try:
        return _walk(tree, path, there)
    except Failed:
        return None


def folder_at(tree: OwnedTree, path: str) -> str:
    """Return where a folder is, or where it will be made, behind the symlinks of an image.

    Raises: Failed where the way runs through a file, or in circles.
    """

    def passable(_place: str, found: Owned | None) -> None:
        if found is not None and not found.is_folder:
            raise Failed("E0307", f"the way to {path!r} runs through a file")

    return _walk(tree, path, passable)


def _walk(tree: OwnedTree, path: str, judge: Callable[[str, Owned | None], None]) -> str:
    """Return where a path leads along symlinks; ``judge`` sees each place that is no symlink, with what stands there.

    Raises: Failed where the way runs in circles, and what ``judge`` raises.
    """
    todo, way, links = path.split("/"), "", 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            way = way.rpartition("/")[0]
        if part in {"", ".", ".."}:
            continue
        place = join(way, part)
        found = tree.get(place)
        if found is not None and isinstance(found.node, Link):
            links += 1
            if links > _MOST_LINKS:
                raise Failed("E0307", f"the way to {path!r} runs in circles")
            way = "" if found.node.target.startswith("/") else way
            todo = found.node.target.split("/") + todo
        else:
            judge(place, found)
            way = place
    return way
