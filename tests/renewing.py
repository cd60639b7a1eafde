"""A copy of a folder that many tests change: after each of them only what has changed is written again."""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_TICKS = 20_000_000
"""Units: nanoseconds. Two changes that lie further apart never get the same time from the kernel."""


class Entry(NamedTuple):
    """What is at a path.

    Shape: ``content`` is a file's, or where a link leads; folders have none. ``same_as`` is an earlier path of the same
           file, which then has two names.
    """

    mode: int
    mtime: int
    content: bytes
    same_as: str = ""


class RenewedCopy:
    """A copy of ``template`` at ``place``, which must be on a file system whose times of change are true.

    No program can set a file's time of change. Where it is still that of the copy, the file is still the copy.
    """

    def __init__(self, template: Path, place: Path) -> None:
        self.place = place
        self._template = {path: read_entry(template / path, status) for path, status in walk(template)}
        self._wanted: Mapping[str, Entry] = {}
        self._seen: dict[str, tuple[int, int]] = {}
        self._renewed = 0

    def renew(self, wanted: Mapping[str, Entry] | None = None) -> None:
        """Make it equal to the template, or to what is ``wanted``: folders first, then what they hold."""
        made, self._wanted = self._wanted, self._template if wanted is None else wanted
        self.place.mkdir(exist_ok=True)
        there = dict(walk(self.place))
        for path in sorted(there, reverse=True):
            if not self._stays(path, there[path], made):
                _remove(self.place / path)
                del there[path]
        for path, entry in self._wanted.items():
            if path not in there:
                self._make(path, entry)
        self._settle(there, made)

    def content(self, path: str, status: os.stat_result) -> bytes:
        """Return what a file holds, which is not read where it is still the copy."""
        return self._wanted[path].content if self._is_copy(path, status) else (self.place / path).read_bytes()

    def _stays(self, path: str, status: os.stat_result, made: Mapping[str, Entry]) -> bool:
        wanted = self._wanted.get(path)
        if wanted is None or wanted.same_as or (status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)):
            return False
        if self._is_copy(path, status) and made[path] == wanted:
            return True
        if stat.S_ISDIR(status.st_mode):
            return stat.S_ISDIR(wanted.mode)
        return wanted == read_entry(self.place / path, status)

    def _is_copy(self, path: str, status: os.stat_result) -> bool:
        """Whether it is what was made here: a change just after that may have got the same time."""
        seen = self._seen.get(path)
        return seen == _mark(status) and seen[1] < self._renewed - _TICKS

    def _make(self, path: str, wanted: Entry) -> None:
        if wanted.same_as:
            (self.place / path).hardlink_to(self.place / wanted.same_as)
        else:
            _make(self.place / path, wanted)

    def _settle(self, there: dict[str, os.stat_result], made: Mapping[str, Entry]) -> None:
        """Give folders their modes and times, which change with what they hold, and note how everything is."""
        seen = {}
        for path in sorted(self._wanted, reverse=True):
            wanted = self._wanted[path]
            if stat.S_ISDIR(wanted.mode):
                as_it_was = path in there and made.get(path) == wanted
                if not (as_it_was and self._is_copy(path, os.lstat(self.place / path))):
                    os.chmod(self.place / path, stat.S_IMODE(wanted.mode))
                    os.utime(self.place / path, ns=(wanted.mtime, wanted.mtime))
            status = None if stat.S_ISDIR(wanted.mode) else there.get(path)
            seen[path] = _mark(status or os.lstat(self.place / path))
        self._seen = seen
        os.utime(self.place)
        self._renewed = os.lstat(self.place).st_ctime_ns


def _mark(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_ctime_ns


def walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every path below a folder with its status, folders before what they hold."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as found:
            for entry in found:
                path, status = below + entry.name, entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(f"{path}/")
                yield path, status


def read_entry(path: Path, status: os.stat_result) -> Entry:
    """Return what is at a path."""
    if stat.S_ISLNK(status.st_mode):
        return Entry(status.st_mode, status.st_mtime_ns, os.fsencode(os.readlink(path)))
    content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
    return Entry(status.st_mode, status.st_mtime_ns, content)


def _make(path: Path, wanted: Entry) -> None:
    if stat.S_ISDIR(wanted.mode):
        path.mkdir()
    elif stat.S_ISLNK(wanted.mode):
        path.symlink_to(os.fsdecode(wanted.content))
    else:
        path.write_bytes(wanted.content)
        path.chmod(stat.S_IMODE(wanted.mode))
    os.utime(path, ns=(wanted.mtime, wanted.mtime), follow_symlinks=False)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
