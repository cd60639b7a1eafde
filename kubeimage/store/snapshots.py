"""Layers unpacked as overlayfs wants its lower directories.

A snapshot is made without waiting for the disk, which for thousands of files would take longer than all the rest. So
it is good for as long as the machine runs: its folder is named after the boot, and after the next one it is made anew.
Root's snapshots and other users' are not alike (``trusted.`` and ``user.`` xattrs), so they have folders of their own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from typing import Literal

from kubeimage.disk.lastuse import note_use_beside
from kubeimage.errors import DigestFormatError
from kubeimage.image.digest import Digest
from kubeimage.namespaces import keeps_trusted_xattrs
from kubeimage.store.failures import store_error, translated
from kubeimage.store.layers import DirectoryLayerStore
from kubeimage.store.layout import Layout
from kubeimage.store.session import Session
from kubeimage.values import dataclass

_ALREADY_THERE = {errno.EEXIST, errno.ENOTEMPTY}


Form = Literal["trusted", "user", "owned"]
"""Whose xattrs say what is opaque: those that only root can set, or those that an overlay with userxattr heeds.
An ``owned`` one is a trusted one in which each file is its own owner's, and not root's."""

_FORMS: tuple[Form, ...] = ("trusted", "user", "owned")


@dataclass(frozen=True)
class Snapshot:
    """One unpacked layer. Shape: ``current`` is False where it was made before the machine was started."""

    diff_id: Digest
    form: Form
    path: str
    current: bool


class DirectorySnapshotStore:
    """Keeps snapshots in ``snapshots/FORM/BOOT/HEX``."""

    def __init__(self, layout: Layout, session: Session, layers: DirectoryLayerStore, form: Form | None = None) -> None:
        self._session = session
        self._layers = layers
        self._form = form or default_form()
        self._folder = os.path.join(layout.snapshots, self._form, _boot())

    def path(self, diff_id: Digest) -> str:
        """Return the absolute path of the unpacked layer, which is not removed while the session lasts.

        Raises: BlobNotFoundError, BlobCorruptError, LayerError, StoreFullError, StoreAccessError.
        """
        self._layers.hold(diff_id)
        path = os.path.join(self._folder, diff_id.hex)
        if not os.path.isdir(path):
            self._make(diff_id, path)
        # The folder's own time is that of the image's root.
        note_use_beside(path)
        return path

    def scratch(self) -> AbstractContextManager[str]:
        """Return an empty private directory on the same filesystem, removed afterwards whatever is in it."""
        return self._session.scratch()

    def workspace(self) -> str:
        """Return an empty private directory on the same filesystem, which lasts until the store is closed.

        Raises: StoreFullError, StoreAccessError.
        """
        path = self._session.new_path()
        with translated("make the folder", path):
            os.mkdir(path, 0o700)
        return path

    def _make(self, diff_id: Digest, path: str) -> None:
        self._layers.verify(diff_id)
        with self.scratch() as folder:
            made = os.path.join(folder, "rootfs")
            unpack_layer(self._layers, diff_id, made, self._form)
            with translated("make the snapshot", path):
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            _move_unless_there(made, path)


def default_form() -> Form:
    """Return the form that this process's mounts understand."""
    return "trusted" if keeps_trusted_xattrs() else "user"


def unpack_layer(layers: DirectoryLayerStore, diff_id: Digest, path: str, form: Form) -> None:
    """Unpack a layer into the folder ``path``, which is made.

    Raises: BlobNotFoundError, LayerError, StoreFullError, StoreAccessError.
    """
    from kubeimage.layer.apply import unpack_snapshot

    with layers.open(diff_id) as tar, translated("unpack a layer into", path):
        os.mkdir(path, 0o755)
        unpack_snapshot(path, tar, userxattr=form == "user", owned=form == "owned")


def _move_unless_there(made: str, path: str) -> None:
    """Of two processes that make the same snapshot, the first one's stays."""
    try:
        os.rename(made, path)
    except OSError as error:
        if error.errno not in _ALREADY_THERE:
            raise store_error(error, "make the snapshot", path) from error


def iter_snapshots(layout: Layout) -> Iterator[Snapshot]:
    """Yield all snapshots of all users and boots."""
    for form in _FORMS:
        for boot in _names_in(os.path.join(layout.snapshots, form)):
            folder = os.path.join(layout.snapshots, form, boot)
            for name in _names_in(folder):
                try:
                    diff_id = Digest.parse(f"sha256:{name}")
                except DigestFormatError:
                    continue
                yield Snapshot(diff_id, form, os.path.join(folder, name), boot == _boot())


def _names_in(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


@cache
def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip().replace("-", "")
    except OSError:
        return "unknown"
