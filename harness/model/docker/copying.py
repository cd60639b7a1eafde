"""COPY and ADD by Docker's rules: a tree, laid over another one.

Source: moby's Dockerfile reference, "COPY", "ADD"; what was tried with buildah.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from harness.model.docker.archives import unpacked
from harness.model.docker.ignoring import Ignored, match_name
from harness.model.docker.owned import (
    ROOT,
    Owned,
    OwnedTree,
    Owner,
    below,
    folder_at,
    followed,
    is_folder,
    laid_over,
    names,
    ways,
)
from harness.model.failure import Failed
from harness.model.tree import folders_above, join, name_of, parent
from harness.trees import File, Folder


class Copying(NamedTuple):
    """A COPY or an ADD with all of it expanded.

    Shape: ``destination`` is as it is written, behind the working directory. ``owner`` is None where nobody says it.
    """

    sources: tuple[str, ...]
    destination: str
    chmod: int | None = None
    owner: Owner | None = None
    excludes: tuple[str, ...] = ()
    parents: bool = False
    unpacks: bool = False
    from_image: bool = False


class _Found(NamedTuple):
    """What a source means. Shape: ``real`` is where it is; ``name`` is what it goes by."""

    real: str
    name: str


def clamp(path: str) -> str:
    """Return a path from a root, at which ``..`` stops."""
    way: list[str] = []
    for part in path.split("/"):
        way = way[:-1] if part == ".." else way + [part] * (part not in {"", "."})
    return "/".join(way)


def copy(root: OwnedTree, copying: Copying, image: OwnedTree) -> dict[str, Owned]:
    """Return ``image`` with what is copied from ``root``.

    Raises: Failed.
    """
    ignored = Ignored(copying.excludes) if copying.from_image else Ignored.of(root, copying.excludes)
    found = [one for source in copying.sources for one in _find(root, ignored, source, copying)]
    destination = clamp(copying.destination)
    several = len(found) > 1 or len(copying.sources) > 1
    into = (
        not destination
        or several
        or copying.parents
        or copying.destination.endswith("/")
        or name_of(copying.destination) in {".", ".."}
        or _is_folder_by_now(image, destination)
    )
    added, archives = _place(root, ignored, found, copying, destination, into=into)
    first = found[0]
    inside = copying.parents or is_folder(root, first.real) or into
    folder = destination if inside or archives else parent(destination)
    return _land(image, {**added, **archives}, folder, copying)


def _is_folder_by_now(image: OwnedTree, path: str) -> bool:
    real = followed(image, path)
    return real is not None and is_folder(image, real)


def _find(root: OwnedTree, ignored: Ignored, source: str, copying: Copying) -> Iterator[_Found]:
    parts = [part for part in clamp(source).split("/") if part]
    matches = _match(root, ignored, parts) or _match(root, ignored, parts, patterns=True, deep=copying.parents)
    if not matches:
        raise Failed("E0302", f"{source!r} matches nothing")
    for path in matches:
        real = followed(root, path) if path else ""
        if real is None:
            raise Failed("E0302", f"{path!r} leads to nothing")
        yield _Found(real, _kept(source, path) if copying.parents else name_of(path))


def _kept(source: str, path: str) -> str:
    """Return what --parents keeps of a path: all, or what stands behind the part ``.``."""
    before, pivot, _ = source.rpartition("/./")
    cut = clamp(before) if pivot else ""
    return path[len(cut) :].lstrip("/")


def _match(
    root: OwnedTree, ignored: Ignored, parts: list[str], *, patterns: bool = False, deep: bool = False
) -> list[str]:
    places = [""]
    for number, part in enumerate(parts):
        if deep and part == "**" and number < len(parts) - 1:
            inside = [one for place in places for one in kept_below(root, ignored, place) if root[one].is_folder]
            places = list(dict.fromkeys([*places, *inside]))
            continue
        matching = [
            join(place, name)
            for place in places
            for name in names(root, place)
            if (re.fullmatch(match_name(part), name, re.DOTALL) if patterns else name == part)
        ]
        seen = [one for one in matching if not ignored.leaves_out(one, folder=root[one].is_folder)]
        if number == len(parts) - 1:
            return seen
        ahead = [followed(root, one) for one in seen]
        places = [one for one in ahead if one is not None and is_folder(root, one)]
    return places


def _place(
    root: OwnedTree, ignored: Ignored, found: list[_Found], copying: Copying, destination: str, *, into: bool
) -> tuple[dict[str, Owned], dict[str, Owned]]:
    """Return what lands where, and what archives give.

    Raises: Failed where a folder and a file meet.
    """
    added: dict[str, Owned] = {}
    archives: dict[str, Owned] = {}
    for real, name in found:
        if is_folder(root, real):
            own = join(destination, name) if copying.parents else destination
            taken = kept_below(root, ignored, real)
            landed = [(one, join(own, one[len(real) :].lstrip("/"))) for one in taken]
            is_kept = copying.parents and name and (taken or not ignored.fits(real))
            landed += [(real, own)] if is_kept else []
        else:
            landed = [(real, join(destination, name) if into else destination)]
            node = root[real].node
            content = unpacked(node.data, copying.owner or ROOT) if copying.unpacks and isinstance(node, File) else None
            if content is not None:
                archives |= {join(destination, path): one for path, one in content.items()}
                continue
        for one, at in landed:
            entry = _taken(root[one], copying)
            if at in added and added[at].is_folder is not entry.is_folder:
                raise Failed("E0307", f"a folder and a file both at {at!r}")
            added[at] = entry
    return added, archives


def kept_below(root: OwnedTree, ignored: Ignored, folder: str) -> list[str]:
    """Return what is copied of a folder: of what is left out, the folders of what is let in again."""
    out: set[str] = set()
    seen = []
    for path in below(root, folder):
        if parent(path) in out or ignored.leaves_out(path, folder=root[path].is_folder):
            out.add(path)
        else:
            seen.append(path)
    wanted = {path for path in seen if not root[path].is_folder or not ignored.fits(path)}
    return [path for path in seen if path in wanted or any(one.startswith(f"{path}/") for one in wanted)]


def _taken(one: Owned, copying: Copying) -> Owned:
    """Return it with the mode and the owner that it has in the image."""
    node = one.node
    if copying.chmod is not None and isinstance(node, File):
        node = File(node.data, copying.chmod)
    elif copying.chmod is not None and isinstance(node, Folder):
        node = Folder(copying.chmod)
    elif isinstance(node, File) and not copying.from_image:
        node = File(node.data, node.mode & 0o1777)
    return Owned(node, one.owner if copying.owner is None else copying.owner)


def _land(image: OwnedTree, added: OwnedTree, folder: str, copying: Copying) -> dict[str, Owned]:
    """Lay what was collected over the image, behind its symlinks; folders on the way are made where none are.

    Raises: Failed.
    """
    real = folder_at(image, folder)
    moved = {join(real, path[len(folder) :].lstrip("/")): one for path, one in added.items()}
    way = {path: Owned(Folder(0o755), copying.owner or ROOT) for path in ways(real) if path not in moved}
    between = {
        path: Owned(Folder(0o755), copying.owner or ROOT)
        for one in moved
        for path in folders_above(one)
        if path not in moved and path not in way
    }
    made = {path: one for path, one in {**way, **between}.items() if not is_folder(image, path)}
    return laid_over(image, {**made, **moved})
