"""Removing whatever stands at a path: never through a symlink, whatever the modes, however deep."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from kubeimage.errors import StoreAccessError

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str) -> None:
    """Remove the file, symlink or directory at ``path``, if there is one.

    Directories below that nobody may enter are made accessible first. Nothing may be mounted there.
    Raises: StoreAccessError.
    """
    try:
        _remove(path)
    except OSError as error:
        raise StoreAccessError(
            f"cannot remove {path!r}: {error.strerror}", hint="remove it by hand, as the user who owns it"
        ) from error


def empty_directory(path: str) -> None:
    """Remove all that stands in the directory ``path``.

    Raises: StoreAccessError.
    """
    for name in os.listdir(path):
        remove_tree(os.path.join(path, name))


def _remove(path: str) -> None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(path)
    elif os.rmdir in os.supports_dir_fd and os.scandir in os.supports_fd:
        _empty(_open_directory(path, None))
        os.rmdir(path)
    else:
        import shutil

        shutil.rmtree(path)


def _empty(current: int) -> None:
    """Remove all below an open directory, and close it.

    One directory is open at a time and no path is ever put together, so that neither the limit of open files nor the
    longest path bounds the depth.
    """
    pending = [_unlink_files(current)]
    trail: list[tuple[int, int]] = []
    try:
        while pending:
            if pending[-1]:
                trail.append(_identity(current))
                current = _step(current, pending[-1][-1])
                pending.append(_unlink_files(current))
                continue
            pending.pop()
            if pending:
                current = _step_back(current, trail.pop())
                os.rmdir(pending[-1].pop(), dir_fd=current)
    finally:
        os.close(current)


def _step(current: int, name: str) -> int:
    following = _open_directory(name, current)
    os.close(current)
    return following


def _step_back(current: int, identity: tuple[int, int]) -> int:
    """Go up to the directory of that identity, and touch no other one."""
    above = os.open("..", _FLAGS, dir_fd=current)
    if _identity(above) != identity:
        os.close(above)
        raise OSError(errno.ESTALE, "a directory was moved while it was removed")
    os.close(current)
    return above


def _open_directory(name: str, parent: int | None) -> int:
    try:
        descriptor = os.open(name, _FLAGS, dir_fd=parent)
    except PermissionError:
        _let_in(name, parent)
        descriptor = os.open(name, _FLAGS, dir_fd=parent)
    if os.fstat(descriptor).st_mode & 0o700 != 0o700:
        with suppress(PermissionError):
            os.fchmod(descriptor, 0o700)
    return descriptor


def _let_in(name: str, parent: int | None) -> None:
    """Open a closed directory to its owner; never what a symlink leads to that took its place a moment ago."""
    closed = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{closed}", 0o700)
    except OSError:
        # A process that took on another user has no such place of its own.
        os.chmod(name, 0o700, dir_fd=parent)
    finally:
        os.close(closed)


def _unlink_files(directory: int) -> list[str]:
    """Unlink all but the directories, and give their names."""
    with os.scandir(directory) as found:
        entries = list(found)
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=directory)
    return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _identity(directory: int) -> tuple[int, int]:
    status = os.fstat(directory)
    return status.st_dev, status.st_ino
