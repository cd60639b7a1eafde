"""Imported first: no test waits for the disk, and what tests write lies in memory where there is room.

What the kernel has taken is there for all processes, and no test pulls the plug. What a power cut leaves is computed
from the calls that were made: `harness.faults.powercuts`. Whoever sets TMPDIR says where the tests write.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_IN_MEMORY = "/dev/shm"
_ON_DISK = "/var/tmp"
_ROOM = 1 << 30
"""Bytes: five times what all workers together have there at a time."""

wait_for_disk = os.fsync


def _need_not_wait(fd: object) -> None:
    """Take the place of ``os.fsync``."""


os.fsync = _need_not_wait


def _has_room(folder: str) -> bool:
    """Whether tests may write there, run what they wrote, and will not fill it."""
    if not os.access(folder, os.W_OK | os.X_OK) or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return False
    return shutil.disk_usage(folder).free >= _ROOM


# A run that looks for long has files of any size.
if "TMPDIR" not in os.environ and os.environ.get("KUBEIMAGE_STRESS") != "full" and _has_room(_IN_MEMORY):
    # Python has looked for its place by now; the workers and what they start look there.
    os.environ["TMPDIR"] = tempfile.tempdir = _IN_MEMORY


@contextmanager
def folder_in_memory(otherwise: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder in memory, where that can be: for stores that are made and thrown away by the thousand."""
    place = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else otherwise.getbasetemp()
    with TemporaryDirectory(prefix="kubeimage-", dir=place) as folder:
        yield Path(folder)


@contextmanager
def folder_on_disk() -> Iterator[Path]:
    """Return a folder on a disk, whose path no other user is kept from: pytest's own folders are closed."""
    from kubeimage.disk.removal import remove_tree

    folder = tempfile.mkdtemp(prefix="kubeimage-", dir=_ON_DISK)
    try:
        yield Path(folder)
    finally:
        remove_tree(folder)
