"""Merged rootfs by copying, for hosts without overlayfs or user namespaces.

What the RUN changed is found by comparing the whole tree with the layers. A file that has still the inode, size and
times that its copy had is not read; one that was copied so shortly before the RUN that its times could not tell is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field

from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, FileIdentity, Owner, identity_of
from kubeimage.mount.lower import MergedLayers
from kubeimage.mount.merge import copy_merged
from kubeimage.mount.survey import survey_copy
from kubeimage.protocols.layers import SnapshotStore
from kubeimage.values import dataclass

# A kernel's clock for file times may tick as rarely as every 10 ms.
_TICK_NS = 20_000_000


@dataclass(frozen=True)
class CopyMount:
    """A copy of the merged layers.

    Shape: ``layers`` are unpacked ones, lowest first. ``copies`` tells what each file was when it had been copied.
    """

    rootfs: str
    layers: tuple[str, ...]
    copies: Mapping[str, FileIdentity] = field(repr=False)
    prefix: tuple[str, ...] = ()

    def changes(self, owners: Mapping[str, Owner] | None = None) -> list[Entry]:
        """Compare the tree with the layers.

        Raises: UnsupportedSourceError, MountError.
        """
        latest = max((copy.ctime_ns for copy in self.copies.values()), default=0)

        def untouched(path: str, status: os.stat_result) -> bool:
            return status.st_ctime_ns < latest - _TICK_NS and self.copies.get(path) == identity_of(status)

        return survey_copy(self.rootfs, self.layers, untouched, owners)

    def keep(self, directory: str) -> None:
        """Copy the tree, as the RUN left it, into ``directory``, which is made.

        Raises: MountError, StoreFullError.
        """
        with MergedLayers([self.rootfs]) as merged:
            copy_merged(merged, directory)


class CopyMounter:
    """Copies the layers for each mount."""

    name = "copy"

    def __init__(self, snapshots: SnapshotStore) -> None:
        self._snapshots = snapshots

    @contextmanager
    def mount(self, layers: Sequence[Digest]) -> Iterator[CopyMount]:
        """Copy ``layers``, lowest first, over each other.

        Raises: MountError, StoreFullError.
        """
        unpacked = tuple(self._snapshots.path(layer) for layer in layers)
        with self._snapshots.scratch() as scratch:
            rootfs = f"{scratch}/m"
            with MergedLayers(unpacked) as merged:
                copies = copy_merged(merged, rootfs)
            yield CopyMount(rootfs, unpacked, copies)
