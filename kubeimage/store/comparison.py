"""Whether a snapshot still is what its layer says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import BinaryIO

from kubeimage.errors import LayerError
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.names import ancestors
from kubeimage.layer.reader import Content, iter_contents

_PIECE = 1 << 18
_TYPES = {
    Kind.FILE: stat.S_IFREG,
    Kind.HARDLINK: stat.S_IFREG,
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.SYMLINK: stat.S_IFLNK,
    Kind.FIFO: stat.S_IFIFO,
}


def first_difference(root: str, tar: BinaryIO) -> str | None:
    """Return what in the snapshot at ``root`` is not as in its layer's tar; None where all is.

    A layer may close a folder or a file to its owner, which shuts out everybody but root. What stands behind that is
    not looked at, for opening it would show to whoever has the snapshot mounted.
    Raises: OSError where the snapshot cannot be read.
    """
    known: set[str] = set()
    whiteouts: set[str] = set()
    opaque: set[str] = set()
    closed: set[str] = set()
    refused: dict[str, PermissionError] = {}
    try:
        for entry, content in iter_contents(tar):
            if entry.kind is Kind.WHITEOUT:
                whiteouts.add(entry.path)
            elif entry.kind is Kind.OPAQUE:
                opaque.add(entry.path)
            else:
                known.add(entry.path)
                if _shuts_out_its_owner(entry):
                    closed.add(entry.path)
                try:
                    what = _difference(os.path.join(root, entry.path), entry, content)
                except PermissionError as error:
                    refused[entry.path] = error
                    continue
                if what:
                    return f"{entry.path!r} {what}"
    except LayerError as error:
        return f"the layer cannot be read: {error}"
    for path, refusal in refused.items():
        if closed.isdisjoint([path, *ancestors(path)]):
            raise refusal
    return _first_stranger(root, known, whiteouts) or _first_missing(root, whiteouts, opaque)


def _shuts_out_its_owner(entry: Entry) -> bool:
    needed = {Kind.DIRECTORY: stat.S_IXUSR, Kind.FILE: stat.S_IRUSR}.get(entry.kind, 0)
    return entry.mode & needed != needed


def _difference(path: str, entry: Entry, content: Content | None) -> str | None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return "is missing"
    if stat.S_IFMT(status.st_mode) != _TYPES[entry.kind]:
        return f"is no {entry.kind.value}"
    if entry.kind is Kind.SYMLINK:
        return None if os.readlink(path) == entry.target else "points elsewhere"
    if stat.S_IMODE(status.st_mode) != entry.mode:
        return f"has the mode {stat.S_IMODE(status.st_mode):o} instead of {entry.mode:o}"
    return None if content is None or _holds(path, content) else "has another content"


def _holds(path: str, content: Content) -> bool:
    with open(path, "rb") as file:
        while piece := content.read(_PIECE):
            if file.read(len(piece)) != piece:
                return False
        return not file.read(1)


def _first_stranger(root: str, known: Iterable[str], whiteouts: set[str]) -> str | None:
    """Find what the layer does not have: all but its entries, the directories they imply, and its whiteouts."""
    expected = set(known)
    parents = {path.rpartition("/")[0] for path in expected | whiteouts}
    while parents := {parent for parent in parents if parent} - expected:
        expected |= parents
        parents = {path.rpartition("/")[0] for path in parents}
    for folder, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = os.path.relpath(os.path.join(folder, name), root)
            if path not in expected and not (path in whiteouts and _is_whiteout(os.path.join(root, path))):
                return f"{path!r} is not in the layer"
    return None


def _first_missing(root: str, whiteouts: set[str], opaque: set[str]) -> str | None:
    """Find a whiteout that is not there, nor needless: nothing is below a directory that hides all that is."""
    hiding = opaque | {path for path in whiteouts if os.path.isdir(os.path.join(root, path))}
    needed = (path for path in sorted(whiteouts) if hiding.isdisjoint(["", *ancestors(path)]))
    return next((f"the whiteout of {path!r} is missing" for path in needed if not _hides(root, path)), None)


def _is_whiteout(path: str) -> bool:
    status = os.lstat(path)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _hides(root: str, path: str) -> bool:
    try:
        os.lstat(os.path.join(root, path))
    except PermissionError:
        # Below what shuts out its owner; all else would have been refused before.
        return True
    except OSError:
        return False
    return True
