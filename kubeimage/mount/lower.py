"""What a stack of unpacked layers looks like merged, read without mounting it.

A directory of the merged tree is known by its stack: the real directories that overlayfs would merge there, topmost
first. Whiteouts are character devices 0:0; an opaque directory hides what is below it, and an xattr says so.

Source: Linux, overlayfs.rst, "whiteouts and opaque directories".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, Self

from kubeimage.layer.apply import HAS_WHITEOUTS
from kubeimage.namespaces import keeps_trusted_xattrs

_ENTERABLE = 0o500

Stack = tuple[str, ...]


class Found(NamedTuple):
    """What stands at one place of the merged tree.

    Shape: ``path`` is where the topmost layer that has it keeps it. ``stack`` is a directory's, else empty.
    """

    path: str
    status: os.stat_result
    stack: Stack

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return bool(self.stack)


def opaque_xattr() -> str:
    """Return the xattr by which this user's overlays and snapshots mark opaque directories."""
    return "trusted.overlay.opaque" if keeps_trusted_xattrs() else "user.overlay.opaque"


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is overlayfs's mark for a name that is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(directory: str) -> bool:
    """Whether overlayfs shows nothing of what is below ``directory``."""
    try:
        return os.getxattr(directory, opaque_xattr(), follow_symlinks=False) == b"y"
    except OSError:
        return False


def whiteout_folders(layer: str) -> tuple[str, ...]:
    """Return the directories of an unpacked layer in which there are whiteouts, relative to its root, without this."""
    mark = f"{opaque_xattr().partition('.')[0]}.{HAS_WHITEOUTS}"
    try:
        os.getxattr(layer, mark)
    except OSError:
        return ()
    found = ((folder, names) for folder, _, names in os.walk(layer) if folder != layer)
    return tuple(os.path.relpath(folder, layer) for folder, names in found if _hold_whiteouts(folder, names))


def _hold_whiteouts(folder: str, names: Sequence[str]) -> bool:
    try:
        return any(is_whiteout(os.lstat(os.path.join(folder, name))) for name in names)
    except PermissionError:
        # An ordinary user's own folder that lets nobody in.
        return False


def uncovered(layers: Sequence[str]) -> list[str]:
    """Return those of ``layers``, lowest first, that a merged tree can show something of, each of them once.

    Below a layer whose root is opaque nothing shows; the kernel itself does not heed that mark on a root. A layer that
    comes twice shows what it has at its upper place, and the kernel takes no directory twice.
    """
    found: list[str] = []
    for layer in reversed(layers):
        if layer not in found:
            found.append(layer)
        if is_opaque(layer):
            break
    return found[::-1]


class MergedLayers:
    """The merged tree of ``layers``, lowest first; good inside its context.

    Directories that their own owner may not enter are made accessible meanwhile: only an ordinary user meets them.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        self.root = tuple(reversed(uncovered(layers)))
        self._restored = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._restored.close()

    def find(self, stack: Stack, name: str) -> Found | None:
        """Return what stands under ``name`` in the merged directory of ``stack``."""
        top: tuple[str, os.stat_result] | None = None
        directories: list[str] = []
        for directory in stack:
            path = f"{directory}/{name}"
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            if is_whiteout(status):
                break
            if not stat.S_ISDIR(status.st_mode):
                return Found(*top, tuple(directories)) if top else Found(path, status, ())
            top = top or (path, status)
            self._enter(path, status)
            directories.append(path)
            if is_opaque(path):
                break
        return Found(*top, tuple(directories)) if top else None

    def children(self, stack: Stack) -> Iterator[tuple[str, Found]]:
        """Yield all that stands in the merged directory of ``stack``, by name, sorted."""
        for name in sorted({name for directory in stack for name in os.listdir(directory)}):
            found = self.find(stack, name)
            if found is not None:
                yield name, found

    def _enter(self, directory: str, status: os.stat_result) -> None:
        mode = stat.S_IMODE(status.st_mode)
        if mode & _ENTERABLE != _ENTERABLE and os.geteuid() != 0:
            os.chmod(directory, mode | _ENTERABLE)
            self._restored.callback(os.chmod, directory, mode)
