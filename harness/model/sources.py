"""COPY: where the sources land, and the layer that they make.

Source: docs/kubefile-sealer-0.8.md, "COPY"; the project's design, "The language".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.model.context import Context
from harness.model.failure import Failed
from harness.model.search import AUTH_LIST, Match, find, never_copied
from harness.model.tree import WHITEOUT, Item, Layer, Node, Tree, below, folders_above, is_folder, join, name_of, parent
from harness.trees import File, Folder, HardLink, Link

_MOST_LINKS = 40

Copy = tuple[tuple[str, ...], str, bool, int | None]
"""Sources, destination, exact, chmod: all expanded."""


def collect(context: Context, copy: Copy) -> tuple[dict[str, Item], list[str], str | None]:
    """Return what a COPY puts into its layer, by its place, and the folders that must be there for it.

    The third is the folder that --exact only fills: where the image has one, that stays as it is.
    Raises: Failed.
    """
    sources, destination, exact, chmod = copy
    matches = [match for source in sources for match in find(context, source)]
    placed = _place(context, matches, _destination(destination), exact=exact)
    landed: dict[str, tuple[str, Node]] = {}
    for path, at in [found for match, place in placed for found in _walk(context, match, place)]:
        node = context.node(path)
        if at in landed and isinstance(landed[at][1], Folder) is not isinstance(node, Folder):
            raise Failed("E0307", f"a folder and a file both at {at!r}")
        if chmod is not None and not isinstance(node, Link):
            node = replace(node, mode=chmod)
        landed[at] = path, node
    first, place = placed[0]
    folder = place if first.inside else parent(place)
    filled = place if exact and not first.inside and isinstance(landed[place][1], Folder) else None
    return _link(context, landed), [*folders_above(folder), folder] if folder else [], filled


def read_by(context: Context, source: str) -> list[str]:
    """Return every path of the context that a source copies.

    Raises: Failed.
    """
    return [path for match in find(context, source) for path, _ in _walk(context, match, "")]


def land(collected: dict[str, Item], folders: list[str], filled: str | None, image: Tree) -> Layer:
    """Return the layer: what was collected behind the symlinks of the image, and the folders that it stands in."""
    layer = dict(collected)
    if filled is not None:
        behind = _rebase(filled, folders[-1], _resolve_in_image(image, folders[-1])) if folders else filled
        there = image.get(behind)
        layer[filled] = Folder(there.mode) if isinstance(there, Folder) else layer[filled]
    if folders:
        written, real = folders[-1], _resolve_in_image(image, folders[-1])
        layer = {
            _rebase(path, written, real): HardLink(_rebase(item.path, written, real))
            if isinstance(item, HardLink)
            else item
            for path, item in layer.items()
        }
        for folder in [*folders_above(real), real] if real else []:
            there = image.get(folder)
            layer.setdefault(folder, Folder(there.mode if isinstance(there, Folder) else 0o755))
    return layer


def _destination(text: str) -> str:
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            if not parts:
                raise Failed("E0307", f"the destination {text!r} leaves the image")
            parts.pop()
        elif part.startswith(WHITEOUT):
            raise Failed("E0307", f"the destination {text!r} is reserved")
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def _place(context: Context, found: list[Match], destination: str, *, exact: bool) -> list[tuple[Match, str]]:
    if exact:
        return [_exactly(context, found, destination)]
    places = []
    for match in found:
        name = name_of(match.path)
        at_destination = len(found) == 1 and not match.listed and name == name_of(destination)
        places.append((match, destination if match.inside or at_destination else join(destination, name)))
    return places


def _exactly(context: Context, found: list[Match], destination: str) -> tuple[Match, str]:
    if len(found) != 1:
        raise Failed("E0307", "--exact places one source")
    match = found[0]
    if match.inside or is_folder(context.tree, match.path):
        return replace(match, inside=match.inside or not destination), destination
    if not destination or name_of(destination) == AUTH_LIST:
        raise Failed("E0307", f"no file can be at {destination!r}")
    return match, destination


def _walk(context: Context, match: Match, place: str) -> Iterator[tuple[str, str]]:
    """Yield each path that is copied, and its place."""
    paths = below(context.tree, match.path) if match.inside else [match.path, *below(context.tree, match.path)]
    left_out: set[str] = set()
    for path in sorted(paths, key=lambda one: one.split("/")):
        name = name_of(path)
        if path != match.path and (parent(path) in left_out or context.ignores(path)):
            left_out.add(path)
            continue
        if never_copied(context, path):
            continue
        if name.startswith(WHITEOUT) or not _is_text(name):
            raise Failed("E0304", f"the name of {path!r} cannot be in a layer")
        yield path, join(place, path[len(match.path) :].lstrip("/"))


def _is_text(name: str) -> bool:
    return name.isascii() or not any(0xD800 <= ord(character) <= 0xDFFF for character in name)


def _link(context: Context, landed: dict[str, tuple[str, Node]]) -> dict[str, Item]:
    """Make hard links of the places of one file, if it came under more than one of its names."""
    origins: dict[str, set[str]] = {}
    for path, node in landed.values():
        if isinstance(node, File):
            origins.setdefault(context.file(path), set()).add(path)
    result: dict[str, Item] = {}
    first: dict[str, str] = {}
    for at in sorted(landed, key=lambda one: one.split("/")):
        path, node = landed[at]
        result[at] = node
        if isinstance(node, File) and len(origins[context.file(path)]) > 1:
            leader = first.setdefault(context.file(path), at)
            if leader != at:
                result[at] = HardLink(leader)
    return result


def _resolve_in_image(image: Tree, path: str) -> str:
    """Follow the symlinks of the image on the way to a folder, as if the image were the root of all.

    Raises: Failed.
    """
    todo, way, links = path.split("/"), list[str](), 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            way = way[:-1]
        if part in {"", ".", ".."}:
            continue
        node = image.get("/".join([*way, part]))
        if isinstance(node, Link):
            links += 1
            if links > _MOST_LINKS:
                raise Failed("E0307", f"the way to {path!r} runs in circles")
            way = [] if node.target.startswith("/") else way
            todo = node.target.split("/") + todo
        elif node is None or isinstance(node, Folder):
            way.append(part)
        else:
            raise Failed("E0307", f"the way to {path!r} runs through a file")
    return "/".join(way)


def _rebase(path: str, written: str, real: str) -> str:
    return join(real, path[len(written) :].lstrip("/"))
