"""What a source of a COPY means in a context.

Source: docs/kubefile-sealer-0.8.md, "COPY"; the project's design, "The language".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from harness.model.context import Context, matches
from harness.model.failure import Failed
from harness.model.tree import folders_above, is_folder, join, name_of
from harness.trees import File, Link

AUTH_LIST = "imageListWithAuth.yaml"
_LOCKS = ("Kubefile.lock", "kubefile.lock", "Sealfile.lock", "Dockerfile.lock", "Containerfile.lock")
_LOCK_BEGINS = b"# The lock of a Kubefile, made by kubeimage lock."
_MOST_LINKS = 40
_SPECIAL = "*?[\\"


@dataclass(frozen=True)
class Match:
    """A path that a source means; with ``inside`` its entries. ``listed`` by a bare ``*``."""

    path: str
    inside: bool = False
    listed: bool = False


def find(context: Context, source: str) -> list[Match]:
    """Return the paths that a source means: literally first, then as a pattern.

    Raises: Failed.
    """
    parts, inside = _parse(source)
    if not parts:
        return [Match("", inside=True)]
    found = _search(context, parts, lambda part, name: part == name, inside=inside)
    if not found and any(character in part for part in parts for character in _SPECIAL):
        listed = not parts[-1].strip("*")
        found = [replace(one, listed=listed) for one in _search(context, parts, matches, inside=inside)]
    if not found:
        raise Failed("E0302", f"nothing is {source!r}")
    return found


def never_copied(context: Context, path: str) -> bool:
    """Whether a path is a list of credentials or the lock of a Kubefile, which no layer ever has."""
    name = name_of(path)
    if is_folder(context.tree, path):
        return False
    if name == AUTH_LIST or name in _LOCKS:
        return True
    node = context.node(path)
    return name.endswith(".lock") and isinstance(node, File) and node.data.startswith(_LOCK_BEGINS)


def _parse(source: str) -> tuple[list[str], bool]:
    written = [part for part in source.split("/") if part]
    parts: list[str] = []
    for part in written:
        if part == "..":
            if not parts:
                raise Failed("E0303", f"{source!r} leaves the context")
            parts.pop()
        elif part != ".":
            parts.append(part)
    return parts, not parts or written[-1] == "."


def _search(context: Context, parts: list[str], fits: Callable[[str, str], bool], *, inside: bool) -> list[Match]:
    folders = [""]
    for part in parts if inside else parts[:-1]:
        folders = [real for path in _named(context, folders, part, fits) for real in _as_folder(context, path)]
    if inside:
        return [Match(path, inside=True) for path in folders]
    found = []
    for path in _named(context, folders, parts[-1], fits):
        if never_copied(context, path):
            continue
        if isinstance(context.node(path), Link):
            _follow(context, path)
        found.append(Match(path))
    return found


def _named(context: Context, folders: list[str], part: str, fits: Callable[[str, str], bool]) -> list[str]:
    named = [join(folder, name) for folder in folders for name in context.names(folder) if fits(part, name)]
    return [path for path in named if not context.ignores(path)]


def _as_folder(context: Context, path: str) -> Iterator[str]:
    if is_folder(context.tree, path):
        yield path
    elif isinstance(context.node(path), Link):
        real = _follow(context, path)
        way = [*folders_above(real), real] if real else []
        if real is not None and is_folder(context.tree, real) and not any(map(context.ignores, way)):
            yield real


def _follow(context: Context, path: str) -> str | None:
    """Return where a symlink leads, or None where that is nothing.

    Raises: Failed where its way leaves the context.
    """
    todo, way, links = path.split("/"), list[str](), 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            if not way:
                raise Failed("E0303", f"the link {path!r} leaves the context")
            way.pop()
        if part in {"", ".", ".."}:
            continue
        way.append(part)
        here = "/".join(way)
        if here not in context.tree:
            if ".." not in todo:
                return None
            continue
        node = context.node(here)
        if isinstance(node, Link):
            links += 1
            if links > _MOST_LINKS:
                return None
            if node.target.startswith("/"):
                raise Failed("E0303", f"the link {path!r} leaves the context")
            way.pop()
            todo = node.target.split("/") + todo
    return "/".join(way)
