"""The program that goes before a RUN's command in an image whose files have owners: it gives them, and becomes a user.

`kubeimage.run` starts this file as a script of its own, with nothing but the standard library, and hands over an
`Owning` as JSON on a descriptor. It runs where the root is mounted, and turns into the rest of the command line.

Sources: chown(2), capabilities(7), setgroups(2), user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress

_CAPABILITY = "security.capability"
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND, _MS_REC = 1, 2, 4, 8, 32, 4096, 16384
_SET_ID_BITS = 0o6000


@dataclasses.dataclass(frozen=True)
class Owning:
    """What is to be done before a command.

    Shape: ``owners`` are (path below ``root``, user, group). ``folders`` and ``files`` below it are made, where they
           are missing. ``mounts`` are (source, path below ``root``, whether it is read-only, size); an empty source is
           a folder in memory, of that many bytes if it is not 0.
           With a ``user``, its number and its group's, the root is shown at ``stage``, for the way to it may be
           closed to others, and the rest runs as that user.
    """

    root: str
    argv: Sequence[str]
    owners: Sequence[tuple[str, int, int]] = ()
    folders: Sequence[str] = ()
    files: Sequence[str] = ()
    mounts: Sequence[tuple[str, str, bool, int]] = ()
    stage: str = ""
    user: tuple[int, int] | None = None

    def to_json(self) -> bytes:
        """Return it as a line that `main` reads."""
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"


def main(descriptor: int) -> int:
    """Do what the `Owning` on ``descriptor`` says; return only where that cannot be, having said why."""
    with open(descriptor, "rb") as file:
        todo = Owning(**json.loads(file.read()))
    try:
        _prepare(todo)
        os.execv(todo.argv[0], list(todo.argv))  # noqa: S606 - the RUN's own walls
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        os.write(1, f"{error.strerror}{name}\n".encode("utf-8", "surrogateescape"))
    return 1


def _prepare(todo: Owning) -> None:
    for path, user, group in todo.owners:
        give(os.path.join(todo.root, path), user, group)
    for folder in todo.folders:
        with suppress(FileExistsError):
            os.mkdir(os.path.join(todo.root, folder), 0o755)
    for path in todo.files:
        with suppress(FileExistsError):
            os.close(os.open(os.path.join(todo.root, path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    for source, target, read_only, size in todo.mounts:
        _show(source, os.path.join(todo.root, target), read_only=read_only, size=size)
    if todo.user is None:
        return
    _mount(todo.root, todo.stage, None, _MS_BIND | _MS_REC)
    os.setgroups([])
    os.setresgid(todo.user[1], todo.user[1], todo.user[1])
    os.setresuid(todo.user[0], todo.user[0], todo.user[0])


def give(path: str, user: int, group: int) -> None:
    """Make a file somebody's; what a change of owner takes away, it keeps.

    Raises: OSError.
    """
    status = os.lstat(path)
    capability = None
    if stat.S_ISREG(status.st_mode):
        with suppress(OSError):
            capability = os.getxattr(path, _CAPABILITY)
    os.chown(path, user, group, follow_symlinks=False)
    if status.st_mode & _SET_ID_BITS and not stat.S_ISLNK(status.st_mode):
        os.chmod(path, stat.S_IMODE(status.st_mode))
    if capability is not None:
        os.setxattr(path, _CAPABILITY, capability)


def _show(source: str, target: str, *, read_only: bool, size: int) -> None:
    if not source:
        _mount("tmpfs", target, "tmpfs", _MS_NOSUID | _MS_NODEV, f"mode=1777,size={size}" if size else "mode=1777")
        return
    _mount(source, target, None, _MS_BIND)
    has = os.statvfs(target).f_flag & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    locked = has | _MS_NOSUID | _MS_NODEV | (_MS_RDONLY if read_only else 0)
    _mount("none", target, None, _MS_REMOUNT | _MS_BIND | locked)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    if libc.mount(*texts, ctypes.c_ulong(flags), None if data is None else data.encode()) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot mount: {os.strerror(number)}", target)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
