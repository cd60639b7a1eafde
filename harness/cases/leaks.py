"""What a build left behind, told by looking before and after it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from kubeimage.protocols.running import Mounter
from kubeimage.store.layout import Layout
from kubeimage.store.session import leftovers

_Stat = tuple[int, int, int, int]
_AN_INSTANT = 0.1
# What pytest and its plugins write into the working directory whenever they like, which may be the build context.
_OF_THE_RUN = (".pytest_cache", ".hypothesis", ".coverage", "__pycache__", ".benchmarks")


class Leak(NamedTuple):
    """Something that a build left behind. Shape: ``name`` is its path, or a process's name; ``text`` is for people."""

    name: str
    text: str


@dataclass(frozen=True)
class Snapshot:
    """How things were before a build.

    Shape: ``context`` has the mode, size, time and inode of every path of the build context, of folders mode and inode
           alone: what is in one is looked at by itself. ``working_directory`` has the names in it, ``children`` the
           process ids that this process has started.
    """

    context: Mapping[str, _Stat]
    working_directory: frozenset[str]
    children: frozenset[int]


def take_snapshot(context: str) -> Snapshot:
    """Look at the build context, the working directory and the processes."""
    return Snapshot(dict(_listing(context)), frozenset(os.listdir()), frozenset(_children()))


def find_leaks(before: Snapshot, context: str, root: str | None) -> list[Leak]:
    """Say what is there after a build that must not be; ``root`` is the store's, None for one in memory."""
    after = take_snapshot(context)
    return [
        *_changes(before.context, after.context),
        *_new_files(sorted(after.working_directory - before.working_directory)),
        *(_process(pid) for pid in sorted(after.children - before.children)),
        *(_below(root) if root is not None else ()),
    ]


def find_mounts(mounter: Mounter) -> list[Leak]:
    """Say what a mounter that keeps count has still mounted."""
    mounted: int = getattr(mounter, "mounted", 0)
    return [Leak("mount", f"{mounted} mounted in memory")] if mounted else []


def _new_files(names: list[str]) -> Iterator[Leak]:
    for name in names:
        if not name.startswith(_OF_THE_RUN):
            yield Leak(name, f"the file {name!r} in {os.getcwd()}")


def _process(pid: int, where: str = "") -> Leak:
    name = _name(pid)
    return Leak(name, f"the process {pid} ({name}){where}")


def _below(root: str) -> Iterator[Leak]:
    real = os.path.realpath(root)
    yield from (Leak(point, f"the mount {point}") for point in mount_points() if _is_below(point, real))
    yield from (_process(pid, f", which works in {place}") for pid, place in _working_below(real))
    yield from (Leak(path, f"the unfinished write {path}") for path in _unfinished(real))


def mount_points() -> list[str]:
    """Give what is mounted in this process's namespace.

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


def _unfinished(root: str) -> Iterator[str]:
    """Give the writing sessions that have ended and left their folder.

    A session that has this moment begun looks the same for an instant, so what is found is looked at again.
    """
    layout = Layout(root)
    found = leftovers(layout)
    if found:
        time.sleep(_AN_INSTANT)
        yield from set(found).intersection(leftovers(layout))


def _listing(folder: str) -> Iterator[tuple[str, _Stat]]:
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(_OF_THE_RUN)]
        for name in ["", *names, *(name for name in folders if os.path.islink(os.path.join(path, name)))]:
            place = os.path.join(path, name) if name else path
            try:
                found = os.lstat(place)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(found.st_mode):
                yield os.path.relpath(place, folder), (found.st_mode, 0, 0, found.st_ino)
            elif not name.startswith(_OF_THE_RUN):
                yield os.path.relpath(place, folder), (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino)


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


def _working_below(folder: str) -> Iterator[tuple[int, str]]:
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                place = os.readlink(f"/proc/{name}/cwd")
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
