"""Imported first: no test waits for the disk.

What the kernel has taken is there for all processes, and no test pulls the plug. What a power cut leaves is computed
from the calls that were made: `harness.faults.powercuts`.
"""

import os

wait_for_disk = os.fsync


def _need_not_wait(fd: object) -> None:
    """Take the place of ``os.fsync``."""


os.fsync = _need_not_wait
