"""Runs a program that is handed what strangers wrote: with bounds on time, memory and output.

What it prints goes into files, whose size the system bounds; so nothing of it is held in memory before it has ended.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

PATIENCE = 120.0
"""Seconds that rendering one chart may take."""
MEMORY = 2 << 30
"""Bytes of address space of what renders. Go reserves much that it never uses."""
OUTPUT = 64 << 20
"""Bytes that it may write into one file."""

_SAID = 4096
_OUT_OF_MEMORY = (
    "out of memory",
    "cannot allocate memory",
    "MemoryError",
    "failed to reserve",
    "failed to create new OS",
)


class Ended(NamedTuple):
    """How a program ended.

    Shape: ``trouble`` says which bound it met, None for none. ``said`` is its standard error.
    """

    status: int
    output: bytes
    said: str
    trouble: str | None


def run_limited(arguments: Sequence[str], environment: Mapping[str, str], folder: str) -> Ended:
    """Run a program in ``folder``, which holds what it prints afterwards.

    Raises: OSError where it cannot be run.
    """
    output, errors = os.path.join(folder, "output"), os.path.join(folder, "errors")
    with open(output, "wb") as out, open(errors, "wb") as err:
        process = subprocess.Popen(
            _bounded(arguments),
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            process.wait(PATIENCE)
            trouble = None
        except subprocess.TimeoutExpired:
            trouble = f"it took longer than {PATIENCE:g} s"
        finally:
            _end(process)
    with open(errors, "rb") as err:
        said = err.read(_SAID).decode("utf-8", "replace").strip()
    if trouble is None and process.returncode:
        trouble = _why(process.returncode, said)
    data = b""
    if trouble is None:
        with open(output, "rb") as out:
            data = out.read()
    return Ended(process.returncode, data, said, trouble)


def _bounded(arguments: Sequence[str]) -> list[str]:
    """Return a command that bounds itself before it becomes the program: from outside, it could be bounded too late."""
    # In KiB, seconds and half KiB. A limit that is tighter already stays.
    limits = f"ulimit -c 0; ulimit -v {MEMORY >> 10}; ulimit -t {math.ceil(PATIENCE)}; ulimit -f {OUTPUT >> 9}"
    return ["/bin/sh", "-c", f'{{ {limits}; }} 2>/dev/null; exec "$@"', "sh", *arguments]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program with all that it has started, however this call ends."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _why(status: int, said: str) -> str | None:
    if status == -signal.SIGXFSZ or "file too large" in said.lower():
        return f"it makes more than {OUTPUT >> 20} MiB"
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"it took longer than {PATIENCE:g} s"
    if any(one in said for one in _OUT_OF_MEMORY):
        return f"it takes more than {MEMORY >> 30} GiB of memory"
    return None
