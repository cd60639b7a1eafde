"""Images of a Docker daemon or of podman, through their own programs: what ``save`` writes.

The stream is kept in a file without a name while it is read, for its table of contents may come last.
"""

from __future__ import annotations

import subprocess
import tempfile
from typing import BinaryIO, cast

from kubeimage.disk.failures import translated
from kubeimage.disk.programs import find_program
from kubeimage.errors import ImageNotFoundError, UsageError

PROGRAMS = ("docker", "podman")


def open_saved(name: str) -> BinaryIO:
    """Return the docker-archive of an image of docker's or podman's, in a file without a name.

    Raises: UsageError where neither program is there; ImageNotFoundError where neither has the image.
    """
    if name.startswith("-"):
        raise UsageError(f"not the name of an image: {name!r}")
    found = [path for program in PROGRAMS if (path := find_program(program)) is not None]
    if not found:
        raise UsageError(
            "docker-daemon: needs the program docker or podman, and neither is there",
            hint="save the image where it is, and read it as docker-archive:FILE",
        )
    for program in found:
        if (saved := _save(program, name)) is not None:
            return saved
    shown = " and ".join(program.rpartition("/")[2] for program in found)
    raise ImageNotFoundError(
        f"{shown} {'has' if len(found) == 1 else 'have'} no image {name!r}, or cannot be reached",
        hint=f"{found[0].rpartition('/')[2]} images lists what is there",
    )


def _save(program: str, name: str) -> BinaryIO | None:
    """Return what the program saves, None where it fails."""
    scratch = cast("BinaryIO", tempfile.TemporaryFile(prefix="kubeimage-"))  # noqa: SIM115  it is given on
    try:
        with translated("keep an image in", tempfile.gettempdir()):
            command = [program, "save", name]
            ended = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=scratch, stderr=subprocess.DEVNULL, check=False
            )
    except BaseException:
        scratch.close()
        raise
    if ended.returncode:
        scratch.close()
        return None
    scratch.seek(0)
    return scratch
