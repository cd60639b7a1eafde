"""Which mounter a build works with: the one that was asked for, or what this host allows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from kubeimage.errors import MountError, UsageError
from kubeimage.image.digest import Digest

if TYPE_CHECKING:
    from kubeimage.mount.copymounter import CopyMounter
    from kubeimage.mount.overlay import OverlayMounter
    from kubeimage.protocols.layers import SnapshotStore
    from kubeimage.protocols.running import Mount, Mounter

MOUNTERS = ("auto", "overlay", "copy")

Notice = Callable[[str], None]


def choose_mounter(name: str, snapshots: SnapshotStore, notice: Notice | None = None) -> Mounter:
    """Return the mounter called ``name``; ``auto`` chooses at its first mount and tells ``notice`` what and why.

    Raises: UsageError for another name.
    """
    if name == "auto":
        return AutoMounter(snapshots, notice or (lambda _text: None))
    if name == "overlay":
        return _overlay(snapshots)
    if name == "copy":
        return _copy(snapshots)
    raise UsageError(f"no way to mount is called {name!r}", hint=f"choose one of {', '.join(MOUNTERS)}")


class AutoMounter:
    """Mounts by overlay where that works, else by copying, and never changes its mind.

    Nothing is tried before the first mount: a build without a RUN needs none.
    """

    def __init__(self, snapshots: SnapshotStore, notice: Notice) -> None:
        self._snapshots = snapshots
        self._notice = notice
        self._chosen: Mounter | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The chosen mounter's name; auto before the first mount."""
        return self._chosen.name if self._chosen is not None else "auto"

    def mount(self, layers: Sequence[Digest]) -> AbstractContextManager[Mount]:
        """Mount ``layers`` by what was chosen.

        Raises: MountError, StoreFullError.
        """
        with self._lock:
            if self._chosen is None:
                self._chosen = self._choose()
        return self._chosen.mount(layers)

    def _choose(self) -> Mounter:
        overlay = _overlay(self._snapshots)
        try:
            overlay.probe()
        except MountError as error:
            self._notice(f"RUN works on a copy of its root filesystem (--mount=copy): {error.message}")
            return _copy(self._snapshots)
        self._notice("RUN works on an overlay of the layers (--mount=overlay)")
        return overlay


def _overlay(snapshots: SnapshotStore) -> OverlayMounter:
    from kubeimage.mount.overlay import OverlayMounter

    return OverlayMounter(snapshots)


def _copy(snapshots: SnapshotStore) -> CopyMounter:
    from kubeimage.mount.copymounter import CopyMounter

    return CopyMounter(snapshots)
