"""Programs of the user, found by name."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping


def find_program(name: str, environment: Mapping[str, str] | None = None) -> str | None:
    """Return the absolute path of the program ``name``, None where there is none.

    Only absolute folders of PATH are looked into: an empty or relative one means the folder that somebody happens to
    be in, which may be a stranger's project.
    Source: Go's os/exec since 1.19, which refuses what is found so.
    """
    path = (os.environ if environment is None else environment).get("PATH") or os.defpath
    for folder in path.split(os.pathsep):
        found = os.path.join(folder, name)
        if os.path.isabs(folder) and _is_program(found):
            return found
    return None


def _is_program(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK)
    except OSError:
        return False
