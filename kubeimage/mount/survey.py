"""What a RUN changed, read off the directory that it wrote to when nothing runs any more.

Only the directories that were written to are looked at; in each, what stands there is set against what stood there in
the layers below. What follows from that is for `kubeimage.layer.diff` to say, so all mounts agree on it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kubeimage.errors import MountError, UnsupportedSourceError
from kubeimage.layer.diff import diff_trees
from kubeimage.layer.entry import ROOT, Entry, Kind, Owner
from kubeimage.mount.inspection import check_name, entry_of, readable
from kubeimage.mount.lower import MergedLayers, Stack, is_opaque, is_whiteout

_PIECE = 1 << 20
_OPEN = 0o700
_READABLE = 0o400

Owners = Mapping[str, Owner]
Untouched = Callable[[str, os.stat_result], bool]


class _Directory(NamedTuple):
    """A directory still to look at. Shape: nothing of what ``below`` holds shows through a ``covering`` one."""

    path: str
    full: str
    below: Stack
    covering: bool


def survey_upper(upper: str, layers: Sequence[str], owners: Owners | None = None) -> list[Entry]:
    """Return what overlayfs's upper directory changes on ``layers`` (lowest first), in canonical order.

    With ``owners``, those below that are not root's, whose a file is counts, too.

    Raises: UnsupportedSourceError for what no layer can hold; MountError where the directory cannot be read.
    """
    return _survey(upper, layers, owners, whole=False, untouched=lambda _path, _status: False)


def survey_copy(root: str, layers: Sequence[str], untouched: Untouched, owners: Owners | None = None) -> list[Entry]:
    """Return what the whole tree at ``root`` changes on ``layers`` (lowest first), in canonical order.

    Shape:  what is ``untouched`` is known to be as it was below, and is not looked into; it is asked about
            everything but directories. With ``owners``, those below that are not root's, whose a file is counts, too.
    Raises: UnsupportedSourceError for what no layer can hold; MountError where the tree cannot be read.
    """
    return _survey(root, layers, owners, whole=True, untouched=untouched)


def _survey(
    root: str, layers: Sequence[str], owners: Owners | None, *, whole: bool, untouched: Untouched
) -> list[Entry]:
    try:
        with MergedLayers(layers) as merged:
            survey = _Survey(merged, untouched, owners, whole=whole)
            survey.look(root)
            is_owned = owners is not None
            return diff_trees(survey.lower, survey.upper, same_content=_same_content, owners=is_owned)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UnsupportedSourceError(
                "the RUN made a path that is longer than the system lets anybody use", hint="remove it in the RUN"
            ) from error
        raise MountError(f"cannot read what the RUN changed: {error.strerror}: {error.filename!r}") from error


class _Survey:
    """Gathers two trees of what was written to: as it was below, and as it is now."""

    def __init__(
        self, merged: MergedLayers, untouched: Untouched, owners: Owners | None = None, *, whole: bool
    ) -> None:
        self.lower: dict[str, Entry] = {}
        self.upper: dict[str, Entry] = {}
        self._merged = merged
        self._untouched = untouched
        self._whole = whole
        self._owners = owners
        self._first_names: dict[tuple[int, int], str] = {}
        self._todo: list[_Directory] = []

    def look(self, root: str) -> None:
        """Look at all below ``root``, however deep that is."""
        self._todo.append(_Directory("", root, self._merged.root, self._whole))
        while self._todo:
            directory = self._todo.pop()
            names = sorted(os.listdir(directory.full))
            for name in names:
                self._look_at(directory, name)
            if directory.covering:
                self._miss(directory, set(names))

    def _look_at(self, directory: _Directory, name: str) -> None:
        path, full = _join(directory.path, name), f"{directory.full}/{name}"
        status = os.lstat(full)
        if self._untouched(path, status):
            return
        below = self._merged.find(directory.below, name)
        if below is not None:
            with readable(below.path, below.status):
                self.lower[path] = self._below(path, entry_of(path, below.path, below.status))
        if not self._whole and is_whiteout(status):
            return
        check_name(name, path)
        entry = self._entry(path, full, status)
        # An ordinary user owns all that is root's in his namespace.
        is_owned = self._owners is not None and os.geteuid() == 0
        self.upper[path] = entry._replace(owner=(status.st_uid, status.st_gid)) if is_owned else entry
        if stat.S_ISDIR(status.st_mode):
            if status.st_mode & _OPEN != _OPEN and os.geteuid() != 0:
                os.chmod(full, stat.S_IMODE(status.st_mode) | _OPEN)
            stack = below.stack if below is not None else ()
            self._todo.append(_Directory(path, full, stack, directory.covering or is_opaque(full)))

    def _entry(self, path: str, full: str, status: os.stat_result) -> Entry:
        """Return what stands at ``full``, a regular file's further names as hard links to the first that was met.

        What was changed belongs to the RUN alone, so a file can be made readable for good once its mode is known.
        """
        if not stat.S_ISREG(status.st_mode):
            return entry_of(path, full, status)
        mode = stat.S_IMODE(status.st_mode)
        if status.st_nlink > 1:
            first = self._first_names.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                return Entry(path, Kind.HARDLINK, self.upper[first].mode, target=first)
        if not mode & _READABLE and os.geteuid() != 0:
            os.chmod(full, mode | _READABLE)
            status = os.lstat(full)
        return entry_of(path, full, status)._replace(mode=mode)

    def _miss(self, directory: _Directory, names: set[str]) -> None:
        """Note what stood in a directory of the layers below and does not stand in the one that took its place."""
        for name, below in self._merged.children(directory.below):
            if name not in names:
                path = _join(directory.path, name)
                with readable(below.path, below.status):
                    self.lower[path] = self._below(path, entry_of(path, below.path, below.status))

    def _below(self, path: str, entry: Entry) -> Entry:
        return entry if not self._owners else entry._replace(owner=self._owners.get(path, ROOT))


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _same_content(old: Entry, new: Entry) -> bool:
    assert isinstance(old.source, str)
    assert isinstance(new.source, str)
    with (
        readable(old.source, os.lstat(old.source)),
        open(old.source, "rb") as before,
        open(new.source, "rb") as after,
    ):
        while piece := before.read(_PIECE):
            if piece != after.read(_PIECE):
                return False
        return True
