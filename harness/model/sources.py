"""COPY: what a source means in a context, and where it lands.

Source: docs/kubefile.md, "COPY"; the project's design, "The language".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from harness.model.failure import Failed
from harness.model.tree import (
    WHITEOUT,
    Item,
    Layer,
    Node,
    Tree,
    below,
    folders_above,
    is_folder,
    join,
    name_of,
    parent,
)
from harness.trees import File, Folder, HardLink, Link

AUTH_LIST = "imageListWithAuth.yaml"
IGNORE_LIST = ".kubeignore"
_MOST_LINKS = 40
_SPECIAL = "*?[\\"

Copy = tuple[tuple[str, ...], str, bool, int | None]
"""Sources, destination, exact, chmod: all expanded."""


@dataclass(frozen=True)
class Match:
    """A path that a source means; with ``inside`` its entries. ``listed`` by a bare ``*``."""

    path: str
    inside: bool = False
    listed: bool = False


@dataclass(frozen=True)
class Context:
    """A build context: a complete tree, in which a `HardLink` may stand for a file."""

    tree: Mapping[str, Item]

    @cached_property
    def rules(self) -> list[str]:
        """The lines of ``.kubeignore`` that say something.

        Raises: Failed where it is no text.
        """
        listed = self.node(IGNORE_LIST) if IGNORE_LIST in self.tree else None
        if not isinstance(listed, File):
            return []
        try:
            lines = [line.strip() for line in listed.data.decode().split("\n")]
        except UnicodeDecodeError:
            raise Failed("E0304", f"{IGNORE_LIST} is no text") from None
        return [line for line in lines if line and not line.startswith("#")]

    def ignores(self, path: str) -> bool:
        """Whether the last rule that fits a path leaves it out; what holds for the folders above is another matter."""
        for rule in reversed(self.rules):
            pattern = rule.removeprefix("!")
            if pattern.endswith("/") and not is_folder(self.tree, path):
                continue
            pattern = pattern.removesuffix("/")
            if matches(pattern, name_of(path)) if "/" not in pattern else _fits_path(pattern, path):
                return not rule.startswith("!")
        return False

    def node(self, path: str) -> Node:
        """Give what stands at a path."""
        item = self.tree[path]
        while isinstance(item, HardLink):
            item = self.tree[item.path]
        return item

    def file(self, path: str) -> str:
        """Give the name that all names of one file share."""
        item = self.tree[path]
        while isinstance(item, HardLink):
            path, item = item.path, self.tree[item.path]
        return path

    def names(self, folder: str) -> list[str]:
        """List a folder, sorted."""
        return sorted(name_of(path) for path in self.tree if parent(path) == folder)


def collect(context: Context, copy: Copy) -> tuple[dict[str, Item], list[str]]:
    """Give what a COPY puts into its layer, by its place, and the folders that must be there for it.

    Raises: Failed.
    """
    sources, destination, exact, chmod = copy
    matches = [match for source in sources for match in _find(context, source)]
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
    return _link(context, landed), [*folders_above(folder), folder] if folder else []


def land(collected: dict[str, Item], folders: list[str], image: Tree) -> Layer:
    """Give the layer: what was collected behind the symlinks of the image, and the folders that it stands in."""
    layer = dict(collected)
    if folders:
        written, real = folders[-1], _resolve_in_image(image, folders[-1])
        layer = {
            _rebase(path, written, real): HardLink(_rebase(item.path, written, real))
            if isinstance(item, HardLink)
            else item
            for path, item in collected.items()
        }
        for folder in [*folders_above(real), real] if real else []:
            there = image.get(folder)
            layer.setdefault(folder, Folder(there.mode if isinstance(there, Folder) else 0o755))
    return layer


def _find(context: Context, source: str) -> list[Match]:
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
        if name_of(path) == AUTH_LIST and not is_folder(context.tree, path):
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
    """Give where a symlink leads, or None where that is nothing.

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


def matches(pattern: str, name: str) -> bool:
    r"""Whether a name fits a pattern of ``*``, ``?``, ``[a-z]``, ``[!a]`` and ``\x``."""
    if not pattern:
        return not name
    first = pattern[0]
    if first == "*":
        return matches(pattern[1:], name) or (name != "" and matches(pattern, name[1:]))
    if first == "[":
        end = pattern.find("]", 3 if pattern[1:2] in {"!", "^"} else 2)
        return end > 0 and name != "" and _in_set(pattern[1:end], name[0]) and matches(pattern[end + 1 :], name[1:])
    if first == "\\":
        pattern = pattern[1:]
        if not pattern:
            return False
    elif first == "?":
        return name != "" and matches(pattern[1:], name[1:])
    return name[:1] == pattern[0] and matches(pattern[1:], name[1:])


def _in_set(members: str, character: str) -> bool:
    negated = members[0] in {"!", "^"}
    members = members[negated:]
    found = False
    while members:
        if len(members) > 2 and members[1] == "-":
            # A range that runs backwards is its first character, as it is for git.
            found = found or members[0] <= character <= members[2] or character == members[0]
            members = members[3:]
        else:
            found = found or members[0] == character
            members = members[1:]
    return found is not negated


def _fits_path(pattern: str, path: str) -> bool:
    """Whether a whole path fits a pattern with ``/`` in it; ``**`` stands for any number of folders."""
    return _fit_parts(pattern.removeprefix("/").split("/"), path.split("/"))


def _fit_parts(patterns: list[str], parts: list[str]) -> bool:
    if not patterns or not parts:
        return not patterns and not parts
    if patterns == ["**"]:
        return True
    if patterns[0] == "**" and _fit_parts(patterns[1:], parts):
        return True
    rest = patterns if patterns[0] == "**" else patterns[1:]
    return (patterns[0] == "**" or matches(patterns[0], parts[0])) and _fit_parts(rest, parts[1:])


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
    """Give each path that is copied, and its place."""
    paths = below(context.tree, match.path) if match.inside else [match.path, *below(context.tree, match.path)]
    left_out: set[str] = set()
    for path in sorted(paths, key=lambda one: one.split("/")):
        name = name_of(path)
        if path != match.path and (parent(path) in left_out or context.ignores(path)):
            left_out.add(path)
            continue
        if name == AUTH_LIST and not is_folder(context.tree, path):
            continue
        if name.startswith(WHITEOUT) or not _is_text(name):
            raise Failed("E0304", f"the name of {path!r} cannot be in a layer")
        yield path, join(place, path[len(match.path) :].lstrip("/"))


def _is_text(name: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in name)


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
