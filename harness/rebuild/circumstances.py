"""What a build must not depend on: its time and place, who builds, and the order in which a folder lists its files.

The second build's context is a copy with other times, made in the other order. Where the file system alone decides
about the order, as ext4 does, the copy goes to a file system in memory, if there is one that programs may be run from.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_LEFT_OUT = frozenset((".pytest_cache",))
_IN_MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own is made there
_MOST_IN_MEMORY = 256 << 20
_SHIFT_NS = -((26 * 3600 + 7 * 60 + 3) * 1_000_000_000 + 123_456_789)
_NOBODY = 65534


@dataclass(frozen=True)
class Circumstances:
    """How one of the builds is run.

    Shape: ``directory`` is the copy of the context, where the command starts. ``user`` is a user's and a group's
           number, None for who runs the tests.
    """

    directory: str
    timezone: str
    umask: int
    user: int | None = None


@dataclass
class Prepared:
    """The contexts of both builds. Shape: ``unvaried`` says what is alike in both, and why."""

    first: Circumstances
    second: Circumstances
    unvaried: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)

    def remove(self) -> None:
        """Remove the copies."""
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


def prepare(context: str, folder: str) -> Prepared:
    """Copy ``context`` twice below ``folder``, and say how each build is to be run.

    Shape:  ``folder`` is there, and others may enter it.
    Raises: OSError.
    """
    one, two = os.path.join(folder, "a/context"), os.path.join(folder, "another/place/for/b/context")
    copy_tree(context, one, reverse=False, shift_ns=0)
    copy_tree(context, two, reverse=True, shift_ns=_SHIFT_NS)
    found = Prepared(Circumstances(one, "UTC", 0o022), Circumstances(two, "KUBE-13:45", 0o027))
    if not _orders_differ(one, two):
        _vary_order(context, found)
    if os.geteuid() == 0:
        found.second = _as_nobody(found.second)
    else:
        found.unvaried["user"] = "only root can build as another user"
    return found


def make_folders(path: str) -> None:
    """Make a folder, and those that it is to lie in, so that others may enter them whatever the mask is."""
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        make_folders(parent)
    os.mkdir(path)
    os.chmod(path, 0o755)  # noqa: S103 - another user builds there


def copy_tree(source: str, target: str, *, reverse: bool, shift_ns: int) -> None:
    """Copy a folder with its modes and, moved by ``shift_ns``, its times; the names of each folder in one order.

    Raises: OSError.
    """
    make_folders(target)
    with os.scandir(source) as listing:
        entries = sorted(listing, key=lambda entry: entry.name, reverse=reverse)
    for entry in entries:
        place = os.path.join(target, entry.name)
        if entry.name in _LEFT_OUT:
            continue
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), place)
        elif entry.is_dir():
            copy_tree(entry.path, place, reverse=reverse, shift_ns=shift_ns)
            continue
        elif entry.is_file():
            shutil.copyfile(entry.path, place)
        else:
            continue
        _copy_status(entry.stat(follow_symlinks=False), place, shift_ns)
    _copy_status(os.stat(source), target, shift_ns)


def _copy_status(status: os.stat_result, place: str, shift_ns: int) -> None:
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(place, stat.S_IMODE(status.st_mode))
    times = (status.st_mtime_ns + shift_ns, status.st_mtime_ns + shift_ns)
    os.utime(place, ns=times, follow_symlinks=False)


def _orders_differ(one: str, two: str) -> bool:
    return any(first != second for first, second in zip(_listings(one), _listings(two), strict=True))


def _listings(folder: str) -> Iterator[list[str]]:
    """Yield the names of each folder as the system lists them, the folders themselves in a fixed order."""
    names = os.listdir(folder)
    yield names
    for name in sorted(names):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            yield from _listings(path)


def _vary_order(context: str, found: Prepared) -> None:
    """Put the second context where the order of making is that of listing."""
    if not any(len(names) > 1 for names in _listings(found.first.directory)):
        found.unvaried["order"] = "no folder of the context holds two files"
        return
    reason = _why_not_in_memory(found.first.directory)
    if reason is not None:
        found.unvaried["order"] = f"this file system decides how folders are listed, and {reason}"
        return
    place = os.path.join(_IN_MEMORY, f"kubeimage-{os.getpid()}-{os.urandom(4).hex()}")
    make_folders(place)
    found.folders.append(place)
    directory = os.path.join(place, "for/b/context")
    copy_tree(context, directory, reverse=True, shift_ns=_SHIFT_NS)
    if not _orders_differ(found.first.directory, directory):
        shutil.rmtree(directory)
        copy_tree(context, directory, reverse=False, shift_ns=_SHIFT_NS)
    found.second = Circumstances(directory, found.second.timezone, found.second.umask)


def _why_not_in_memory(directory: str) -> str | None:
    try:
        status = os.statvfs(_IN_MEMORY)
    except OSError:
        return f"there is no {_IN_MEMORY}"
    size = sum(os.lstat(path).st_blocks * 512 for path in _files(directory))
    if not os.path.ismount(_IN_MEMORY) or not os.access(_IN_MEMORY, os.W_OK) or status.f_flag & os.ST_NOEXEC:
        return f"{_IN_MEMORY} cannot be built in"
    if size > min(_MOST_IN_MEMORY, status.f_bavail * status.f_frsize // 2):
        return f"the context is too large for {_IN_MEMORY}"
    return None


def _files(directory: str) -> Iterator[str]:
    for folder, _, names in os.walk(directory):
        yield from (os.path.join(folder, name) for name in names)


def _as_nobody(second: Circumstances) -> Circumstances:
    """Make another user the owner of the second context."""
    for path in (second.directory, *_paths(second.directory)):
        os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
    return Circumstances(second.directory, second.timezone, second.umask, _NOBODY)


def _paths(directory: str) -> Sequence[str]:
    return [os.path.join(folder, name) for folder, folders, names in os.walk(directory) for name in (*folders, *names)]
