"""Imported first: no test waits for the disk.

What the kernel has taken is there for all processes, and no test pulls the plug. What a power cut leaves is computed
from the calls that were made: `harness.faults.powercuts`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_IN_MEMORY = "/dev/shm"

wait_for_disk = os.fsync


def _need_not_wait(fd: object) -> None:
    """Take the place of ``os.fsync``."""


os.fsync = _need_not_wait


@contextmanager
def folder_in_memory(otherwise: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder in memory, where that can be: for stores that are made and thrown away by the thousand."""
    place = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else otherwise.getbasetemp()
    with TemporaryDirectory(prefix="kubeimage-", dir=place) as folder:
        yield Path(folder)
