"""The paths that a program changed in a root, whatever they are: a layer need not be able to hold them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from kubeimage.layer.entry import identity_of
from kubeimage.mount.copymounter import CopyMount
from kubeimage.mount.inspection import readable
from kubeimage.mount.lower import Found, MergedLayers, Stack, is_opaque, is_whiteout
from kubeimage.mount.merge import translated
from kubeimage.mount.overlay import OverlayMount
from kubeimage.protocols.running import Mount

PathChange = Literal["added", "modified", "deleted"]

_PIECE = 1 << 20
_OPEN = 0o700

Untouched = Callable[[str, os.stat_result], bool]


def changed_paths(mount: Mount, *, owners: bool) -> dict[str, PathChange]:
    """Return what differs from the layers below by path, sorted; call it when nothing runs any more.

    Shape:  what was deleted with its directory is not told one by one. Times never count; owners do with ``owners``.
    Raises: MountError.
    """
    is_copy = isinstance(mount, CopyMount)
    assert isinstance(mount, CopyMount | OverlayMount)
    root = mount.rootfs if isinstance(mount, CopyMount) else f"{mount.scratch}/u"
    copies = mount.copies if isinstance(mount, CopyMount) else {}

    def untouched(path: str, status: os.stat_result) -> bool:
        return copies.get(path) == identity_of(status)

    with translated("read what a program changed in", root), MergedLayers(mount.layers) as merged:
        found = _Changes(merged, untouched, owners=owners)
        return dict(sorted(found.below("", root, merged.root, whole=is_copy)))


class _Changes:
    """Looks at what was written to, beside the layers below."""

    def __init__(self, merged: MergedLayers, untouched: Untouched, *, owners: bool) -> None:
        self._merged = merged
        self._untouched = untouched
        self._owners = owners

    def below(self, path: str, full: str, stack: Stack, *, whole: bool) -> Iterator[tuple[str, PathChange]]:
        """Yield the changes in a directory; nothing of the layers below shows through a ``whole`` one."""
        todo: list[tuple[str, str, Stack, bool]] = [(path, full, stack, whole)]
        while todo:
            path, full, stack, whole = todo.pop()
            names = sorted(os.listdir(full))
            for name in names:
                inner, place = f"{path}/{name}" if path else name, f"{full}/{name}"
                status = os.lstat(place)
                below = self._merged.find(stack, name)
                if not whole and is_whiteout(status):
                    if below is not None:
                        yield inner, "deleted"
                    continue
                if below is None:
                    yield inner, "added"
                elif not self._untouched(inner, status) and self._differs(place, status, below):
                    yield inner, "modified"
                if stat.S_ISDIR(status.st_mode):
                    _open(place, status)
                    todo.append((inner, place, below.stack if below else (), whole or is_opaque(place)))
            if whole:
                gone = {name for name, _ in self._merged.children(stack)}.difference(names)
                yield from ((f"{path}/{name}" if path else name, "deleted") for name in gone)

    def _differs(self, place: str, status: os.stat_result, below: Found) -> bool:
        old = below.status
        if stat.S_IFMT(old.st_mode) != stat.S_IFMT(status.st_mode):
            return True
        if self._owners and (old.st_uid, old.st_gid) != (status.st_uid, status.st_gid):
            return True
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(place) != os.readlink(below.path)
        if old.st_mode != status.st_mode:
            return True
        return stat.S_ISREG(status.st_mode) and not _same(place, status, below)


def _open(place: str, status: os.stat_result) -> None:
    """What was changed is the program's alone, so an ordinary user may open it for good."""
    if status.st_mode & _OPEN != _OPEN and os.geteuid() != 0:
        os.chmod(place, stat.S_IMODE(status.st_mode) | _OPEN)


def _same(place: str, status: os.stat_result, below: Found) -> bool:
    if status.st_size != below.status.st_size:
        return False
    with (
        readable(below.path, below.status),
        readable(place, status),
        open(below.path, "rb") as before,
        open(place, "rb") as after,
    ):
        while piece := before.read(_PIECE):
            if piece != after.read(_PIECE):
                return False
    return True


__all__: Sequence[str] = ["PathChange", "changed_paths"]
