"""What a build left behind, told by looking before and after it.

Others may build in the same store at the same time, and anything may happen on the machine. So only that counts which
belongs to this build by its nature: the children of this process, the sessions that this process had in the store, and
the build context, without what the run itself keeps in it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from kubeimage.protocols.running import Mounter
from kubeimage.store.layout import Layout
from kubeimage.store.session import LEASE

_Stat = tuple[int, int, int, int]
_GONE = " (deleted)"
# What pytest and its plugins write whenever they like into the working directory, which may be the build context.
_OF_THE_RUN = (".pytest_cache", ".hypothesis", ".coverage", "__pycache__", ".benchmarks")


class Leak(NamedTuple):
    """Something that a build left behind. Shape: ``name`` is its path, or a process's name; ``text`` is for people."""

    name: str
    text: str


@dataclass(frozen=True)
class Snapshot:
    """How things were before a build.

    Shape: ``context`` has the mode, size, time and inode of every path of the build context, of folders mode and inode
           alone: what is in one is looked at by itself. ``children`` are the process ids that this process has started.
    """

    context: Mapping[str, _Stat]
    children: frozenset[int]


def take_snapshot(context: str, passed_over: Collection[str] = ()) -> Snapshot:
    """Look at the build context and the processes.

    Shape: ``passed_over`` are absolute paths in the context that are none of the build's business.
    """
    return Snapshot(dict(_listing(context, passed_over)), frozenset(_children()))


def own_sessions(root: str) -> list[str]:
    """Return the folders of the sessions that this process has open in the store at ``root``."""
    ingest = os.path.realpath(Layout(root).ingest)
    opened = (os.path.split(path) for path in _open_files())
    return sorted({folder for folder, name in opened if name == LEASE and os.path.dirname(folder) == ingest})


def find_leaks(
    before: Snapshot, context: str, sessions: Collection[str], passed_over: Collection[str] = ()
) -> list[Leak]:
    """Return what is there after a build that must not be; ``sessions`` were the build's own, and have ended."""
    after = take_snapshot(context, passed_over)
    return [
        *_changes(before.context, after.context),
        *(_process(pid) for pid in sorted(after.children - before.children)),
        *(leak for session in sessions for leak in _below(session)),
    ]


def find_mounts(mounter: Mounter) -> list[Leak]:
    """Say what a mounter that keeps count has still mounted."""
    mounted: int = getattr(mounter, "mounted", 0)
    return [Leak("mount", f"{mounted} mounted in memory")] if mounted else []


def _process(pid: int, where: str = "") -> Leak:
    name = _name(pid)
    return Leak(name, f"the process {pid} ({name}){where}")


def _below(session: str) -> Iterator[Leak]:
    yield from (Leak(point, f"the mount {point}") for point in mount_points() if _is_below(point, session))
    yield from (_process(pid, f", which works in {place}") for pid, place in _working_below(session))
    if os.path.lexists(session):
        yield Leak(session, f"the unfinished write {session}")


def mount_points() -> list[str]:
    """Return what is mounted in this process's namespace.

    Source: proc(5), /proc/pid/mountinfo: the fifth field, with blanks written as octal escapes.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        return [_unescape(line.split(" ", 5)[4]) for line in stream]


def _unescape(text: str) -> str:
    for escape, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escape, char)
    return text


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def _listing(folder: str, passed_over: Collection[str]) -> Iterator[tuple[str, _Stat]]:
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if _counts(path, name, passed_over)]
        links = [name for name in folders if os.path.islink(os.path.join(path, name))]
        for name in ["", *(name for name in names if _counts(path, name, passed_over)), *links]:
            place = os.path.join(path, name) if name else path
            try:
                found = os.lstat(place)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(found.st_mode):
                yield os.path.relpath(place, folder), (found.st_mode, 0, 0, found.st_ino)
            else:
                yield os.path.relpath(place, folder), (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino)


def _counts(folder: str, name: str, passed_over: Collection[str]) -> bool:
    return not name.startswith(_OF_THE_RUN) and os.path.join(folder, name) not in passed_over


def _changes(before: Mapping[str, _Stat], after: Mapping[str, _Stat]) -> Iterator[Leak]:
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            what = "new" if path not in before else "gone" if path not in after else "changed"
            yield Leak(path, f"the build context: {path} is {what}")


def _children() -> Iterator[int]:
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children", encoding="ascii") as stream:
                yield from map(int, stream.read().split())
        except FileNotFoundError:
            continue


def _open_files() -> Iterator[str]:
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            yield os.readlink(f"/proc/self/fd/{descriptor}")


def _working_below(folder: str) -> Iterator[tuple[int, str]]:
    """Return the processes that work in a folder, be it there still or not.

    One whose parent has ended is no child of this process any more.
    """
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                place = os.readlink(f"/proc/{name}/cwd").removesuffix(_GONE)
            except OSError:
                continue
            if _is_below(place, folder):
                yield int(name), place


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return "already gone"
