"""The host's programs that mounting needs, and what they say when they fail."""

from __future__ import annotations

import shutil
import subprocess

from kubeimage.errors import MountError
from kubeimage.namespaces import find_obstacle

_NO_OVERLAY = "wrong fs type"

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE = 60


def find_tool(name: str) -> str:
    """Return the absolute path of a program of the system.

    Raises: MountError.
    """
    found = shutil.which(name, path=_SYSTEM_PATH)
    if found is None:
        raise MountError(
            f"overlay mounts need the program {name!r}, which this host does not have",
            hint="install util-linux, or use --mount=copy",
        )
    return found


def no_overlay(complaint: str) -> MountError:
    """Return the error of a host without overlays: its cause as far as that can be read off, and the way out."""
    obstacle = find_obstacle() if complaint.startswith("unshare: ") else None
    reason, way_out = obstacle or (complaint, "let this user make namespaces and mounts")
    if _NO_OVERLAY in complaint:
        reason, way_out = (
            "the kernel makes no overlay on the store's file system",
            "keep the store on another by --root",
        )
    return MountError(f"overlay mounts do not work here: {reason}", hint=f"{way_out}; or use --mount=copy")


def try_command(argv: list[str]) -> str | None:
    """Run ``argv`` to its end; give None where it succeeds, else the most telling line of what it said."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": _SYSTEM_PATH, "LANG": "C"},
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[0] if lines else f"{argv[0]} ended with status {done.returncode}"
