"""One path of a stack of layers, looked for from the topmost layer down, until the answer is sure.

Layers below the one that decides are not opened, and of that one nothing is read behind the file. Symlinks are followed
inside the root.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import field
from typing import Literal, NamedTuple, cast

from kubeimage.layer.entry import Entry, Kind, directory
from kubeimage.layer.names import ancestors, parent_of
from kubeimage.layer.views import LayerView
from kubeimage.values import dataclass

_MOST_SYMLINKS = 40


class Found(NamedTuple):
    """What stands at a path. Shape: ``entry`` None where nothing does, or where the way leads through a file."""

    entry: Entry | None
    layer: int = 0
    content: io.BufferedReader | None = None


class _Spot(NamedTuple):
    entry: Entry
    layer: int
    place: int
    size: int


@dataclass(frozen=True)
class _Seen:
    """What is known of one layer."""

    layer: int
    spots: dict[str, _Spot] = field(default_factory=dict)
    implied: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    emptied: set[str] = field(default_factory=set)

    def add(self, entry: Entry, place: int) -> None:
        path = entry.path
        if entry.kind is Kind.WHITEOUT:
            self.deleted.add(path)
        elif entry.kind is Kind.OPAQUE:
            self.emptied.add(path)
            self.implied.add(path)
        else:
            size = self.spots[entry.target].size if entry.kind is Kind.HARDLINK else entry.size
            self.spots[path] = _Spot(entry, self.layer, place, size)
        if parent_of(path) not in self.implied:
            self.implied.update(ancestors(path))

    def at(self, path: str) -> _Spot | Literal[False] | None:
        """Return what stands at ``path``: False where this layer hides what is below, None where it says nothing."""
        if (spot := self.spots.get(path)) is not None:
            return spot
        if path in self.implied:
            return _Spot(directory(path), self.layer, 0, 0)
        if path in self.deleted or "" in self.emptied:
            return False
        for above in ancestors(path):
            spot = self.spots.get(above)
            if above in self.deleted or above in self.emptied:
                return False
            if spot is not None and spot.entry.kind is not Kind.DIRECTORY:
                return False
        return None


class _Unknown(Exception):  # noqa: N818  no error: the next layer is to be asked
    """Nobody has said yet what stands at a path."""

    def __init__(self, path: str) -> None:
        self.path = path


@contextmanager
def open_topmost(path: str, count: int, open_view: Callable[[int], LayerView]) -> Iterator[Found]:
    """Find what stands at ``path``, and open its content where it is a FILE.

    Shape:  layers are numbered from 0, lowest first.
    Raises: LayerFormatError and whatever reading raises.
    """
    seen: list[_Seen] = []
    for number in reversed(range(count)):
        seen.append(_Seen(number))
        with closing(open_view(number)) as view:
            wanted = _wanted(path, seen)
            for entry, place in view.places():
                seen[-1].add(entry, place)
                if wanted is not None and not f"{entry.path}/".startswith(f"{wanted}/"):
                    continue
                spot = _resolve(path, seen)
                wanted = _wanted(path, seen)
                if spot is not None and spot.layer == number:
                    yield _found(spot, view)
                    return
        spot = _resolve(path, seen)
        if spot is None and _wanted(path, seen) is not None:
            continue
        yield from _open_again(spot, open_view)
        return
    yield from _open_again(_resolve(path, seen, last=True), open_view)


def _open_again(spot: _Spot | None, open_view: Callable[[int], LayerView]) -> Iterator[Found]:
    if spot is None or spot.entry.kind not in (Kind.FILE, Kind.HARDLINK):
        yield Found(spot.entry if spot is not None else None, spot.layer if spot is not None else 0)
        return
    with closing(open_view(spot.layer)) as view:
        yield _found(spot, view)


def _found(spot: _Spot, view: LayerView) -> Found:
    entry = spot.entry
    if entry.kind not in (Kind.FILE, Kind.HARDLINK):
        return Found(entry, spot.layer)
    entry = entry._replace(kind=Kind.FILE, size=spot.size, target="")
    return Found(entry, spot.layer, io.BufferedReader(cast("io.RawIOBase", view.content(spot.place, spot.size))))


def _wanted(path: str, seen: list[_Seen]) -> str | None:
    """Return the path that has to be known next, None where all is known."""
    try:
        _walk(path, seen)
    except _Unknown as unknown:
        return unknown.path
    return None


def _resolve(path: str, seen: list[_Seen], *, last: bool = False) -> _Spot | None:
    try:
        return _walk(path, seen, last=last)
    except _Unknown:
        return None


def _walk(path: str, seen: list[_Seen], *, last: bool = False) -> _Spot | None:
    """Follow ``path`` from the root; None where nothing stands there.

    Raises: _Unknown for what a layer below may know, unless these layers are the ``last``.
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
        spot = _at(here, seen, last=last)
        if spot is None:
            return None
        if spot.entry.kind is Kind.SYMLINK:
            links += 1
            if links > _MOST_SYMLINKS:
                return None
            if spot.entry.target.startswith("/"):
                done.clear()
            todo += spot.entry.target.split("/")[::-1]
        elif spot.entry.kind is Kind.DIRECTORY:
            done.append(name)
        elif any(part not in ("", ".") for part in todo):
            return None
        else:
            return spot
    here = "/".join(done)
    return _at(here, seen, last=last) if here else _Spot(directory(""), 0, 0, 0)


def _at(path: str, seen: list[_Seen], *, last: bool) -> _Spot | None:
    for layer in seen:
        found = layer.at(path)
        if found is not None:
            return found or None
    if last:
        return None
    raise _Unknown(path)
