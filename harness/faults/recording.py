"""What a piece of work does to a folder, step by step: names, contents, marks, and what it waits for the disk to take.

The folder is looked at after each of kubeimage's calls that writes (see `harness.faults.iocalls`), so a step is what
one call changed. What nobody waited for (with fsync) is only in memory, and a power cut may undo it:
`harness.faults.powercuts` makes every such state.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from harness.faults.iocalls import WRITING, IoSeam

ROOT = 0
"""The number of the recorded folder itself."""


class Kind(NamedTuple):
    """What a file is. Shape: ``marked`` says that its modification time is 0; ``target`` is a symlink's."""

    mode: int
    target: str = ""
    marked: bool = False


class SetName(NamedTuple):
    """A name in a folder leads to another file, or (None) to none."""

    step: int
    folder: int
    name: str
    inode: int | None


class SetKind(NamedTuple):
    """A file's mode or mark is another."""

    step: int
    inode: int
    kind: Kind


class Write(NamedTuple):
    """Bytes of a file are others. Units: ``offset`` and ``size`` (of the whole file, afterwards) in bytes."""

    step: int
    inode: int
    offset: int
    data: bytes
    size: int


class Sync(NamedTuple):
    """Somebody waited until the disk had a file, or the names in a folder."""

    step: int
    inode: int


Operation = SetName | SetKind | Write | Sync


@dataclass
class Disk:
    """The files of a folder, by numbers of their own.

    Shape: ``names`` has the names in each folder; what has no name stays in ``kinds`` and ``contents``, and is nowhere.
    """

    names: dict[int, dict[str, int]] = field(default_factory=dict)
    kinds: dict[int, Kind] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)

    def copy(self) -> Disk:
        """Return one that changes by itself."""
        names = {number: dict(names) for number, names in self.names.items()}
        return Disk(names, dict(self.kinds), dict(self.contents))

    def apply(self, operation: Operation) -> None:
        """Do what an operation says."""
        match operation:
            case SetName(folder=folder, name=name, inode=None):
                self.names.setdefault(folder, {}).pop(name, None)
            case SetName(folder=folder, name=name, inode=int(inode)):
                self.names.setdefault(folder, {})[name] = inode
            case SetKind(inode=inode, kind=kind):
                self.kinds[inode] = kind
            case Write(inode=inode, offset=offset, data=data, size=size):
                content = bytearray(self.contents.get(inode, b"")[:size].ljust(size, b"\0"))
                content[offset : offset + len(data)] = data[: max(0, size - offset)]
                self.contents[inode] = bytes(content)

    def write_to(self, place: Path) -> None:
        """Make the files at ``place``, a folder that is not there yet."""
        self._make(ROOT, place, {})

    def _make(self, inode: int, place: Path, made: dict[int, Path]) -> None:
        kind = self.kinds[inode]
        if stat.S_ISDIR(kind.mode):
            place.mkdir(mode=0o700)
            for name, child in self.names.get(inode, {}).items():
                self._make(child, place / name, made)
        elif inode in made:
            place.hardlink_to(made[inode])
            return
        elif stat.S_ISLNK(kind.mode):
            place.symlink_to(kind.target)
            return
        else:
            place.write_bytes(self.contents.get(inode, b""))
            made[inode] = place
        place.chmod(stat.S_IMODE(kind.mode))
        if kind.marked:
            os.utime(place, ns=(0, 0))


@dataclass(frozen=True)
class Recording:
    """How a folder was, and what was done to it, oldest first. Shape: ``steps`` are the calls, in words."""

    before: Disk
    operations: tuple[Operation, ...]
    steps: tuple[str, ...]
    result: object


def record(folder: Path, work: Callable[[], object]) -> Recording:
    """Do ``work``, and return what it did to ``folder``.

    Raises: what ``work`` raises.
    """
    recorder = _Recorder(folder)
    with recorder:
        result = work()
    recorder.look("the end")
    return Recording(recorder.before, tuple(recorder.operations), tuple(recorder.steps), result)


class _Recorder(IoSeam):
    """Looks at the folder after each call that writes."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._looking = threading.RLock()
        self._numbers: dict[int, int] = {}
        self._next = ROOT
        self._nameless: dict[int, bytes] = {}
        self._times: dict[int, tuple[int, int, int]] = {}
        self._disk = Disk()
        self.operations: list[Operation] = []
        self.steps: list[str] = []
        self.look("the beginning")
        self.before = self._disk.copy()
        self.operations.clear()
        self.steps.clear()

    def strike(self, name: str, where: object, call: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:  # noqa: ARG002 - calls are whole here
        """Make a call, and note what it did."""
        if name not in WRITING and name != "fsync":
            return call()
        # The descriptor of a closed file may be another's at once.
        synced = _identity(where) if name == "fsync" else None
        with self._looking:
            try:
                return call()
            finally:
                self.look(f"{name} {where}")
                if synced is not None:
                    self._note_sync(*synced)

    def look(self, step: str) -> None:
        """Compare the folder with what it was, and note the differences."""
        found = Disk()
        seen: set[int] = set()
        self._walk(str(self._folder), os.lstat(self._folder), found, seen)
        self._numbers = {real: number for real, number in self._numbers.items() if real in seen}
        changes = [*self._changes(found)]
        if changes:
            self.operations += changes
            self.steps.append(step)
        self._disk = found

    def _note_sync(self, real: int, content: bytes | None) -> None:
        number = self._numbers.get(real)
        if number is not None:
            # A step of its own: the power may fail right before it, with what it waits for half done.
            self.operations.append(Sync(len(self.steps), number))
            self.steps.append(f"fsync of file {number}")
        elif content is not None:
            self._nameless[real] = content

    def _walk(self, path: str, status: os.stat_result, found: Disk, seen: set[int]) -> int:
        number = self._number(status.st_ino)
        if status.st_ino in seen:
            return number
        seen.add(status.st_ino)
        is_link = stat.S_ISLNK(status.st_mode)
        is_file = stat.S_ISREG(status.st_mode)
        marked = is_file and status.st_mtime_ns == 0
        found.kinds[number] = Kind(status.st_mode, os.readlink(path) if is_link else "", marked)
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(path) as entries:
                listed = sorted((entry.name, entry.path, entry.stat(follow_symlinks=False)) for entry in entries)
            found.names[number] = {name: self._walk(below, state, found, seen) for name, below, state in listed}
        elif is_file:
            found.contents[number] = self._content(path, number, status)
        return number

    def _number(self, real: int) -> int:
        if real not in self._numbers:
            self._numbers[real] = self._next
            self._next += 1
        return self._numbers[real]

    def _content(self, path: str, number: int, status: os.stat_result) -> bytes:
        """Return what is in a file; one that was last changed long before the last look is as it was."""
        times = status.st_size, status.st_mtime_ns, status.st_ctime_ns
        known = self._disk.contents.get(number)
        if known is not None and self._times.get(number) == times and not _is_young(status):
            return known
        self._times[number] = times
        with open(path, "rb") as file:
            return file.read()

    def _changes(self, found: Disk) -> Iterator[Operation]:
        step = len(self.steps)
        for number, kind in found.kinds.items():
            if self._disk.kinds.get(number) != kind:
                yield SetKind(step, number, kind)
        for number, content in found.contents.items():
            yield from self._writes(step, number, content)
        for folder, names in found.names.items():
            known = self._disk.names.get(folder, {})
            for name in sorted(known.keys() | names.keys()):
                if known.get(name) != names.get(name):
                    yield SetName(step, folder, name, names.get(name))

    def _writes(self, step: int, number: int, content: bytes) -> Iterator[Operation]:
        known = self._disk.contents.get(number, b"")
        if content != known or number not in self._disk.contents:
            start = _length_in_common(known, content)
            yield Write(step, number, start, content[start:], len(content))
        if not self._nameless:
            return
        real = next(real for real, one in self._numbers.items() if one == number)
        if self._nameless.pop(real, None) == content:
            # It was written without a name, and the disk has it already.
            yield Sync(step, number)


def _length_in_common(one: bytes, other: bytes) -> int:
    """Return how many bytes the beginnings share: ``_length_in_common(b"abc", b"abd") == 2``."""
    if other.startswith(one):
        return len(one)
    return next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(other))


def _is_young(status: os.stat_result) -> bool:
    """Whether a file changed so lately that it may change again without another time."""
    return time.time_ns() - status.st_ctime_ns < 1_000_000_000


def _identity(descriptor: object) -> tuple[int, bytes | None]:
    """Return the inode of an open file, and its content if it is a file without a name."""
    assert isinstance(descriptor, int)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink:
        return status.st_ino, None
    with open(f"/proc/self/fd/{descriptor}", "rb") as file:
        return status.st_ino, file.read()
