"""What a command left: an image in a folder or an archive, told by what is in it."""

from __future__ import annotations

import os
import tarfile


class NoImageError(Exception):
    """A file or folder that holds no image."""


def name_of_image(path: str) -> str:
    """Return how the image at ``path`` is named, as in ``oci-archive:FILE``.

    Raises: NoImageError.
    """
    if os.path.isdir(path):
        if os.path.isfile(os.path.join(path, "oci-layout")):
            return f"oci:{path}"
        found = ", ".join(sorted(os.listdir(path))[:5]) or "nothing"
        raise NoImageError(f"it made a folder that is no OCI image layout: it holds {found}")
    try:
        with tarfile.open(path) as archive:
            names = {name.removeprefix("./") for name in archive.getnames()}
    except (OSError, tarfile.TarError) as error:
        raise NoImageError(f"it made a file that is no archive: {error}") from error
    # What Docker writes since version 25 is both.
    if "oci-layout" in names:
        return f"oci-archive:{path}"
    if "manifest.json" in names:
        return f"docker-archive:{path}"
    raise NoImageError("it made an archive without an image: there is neither oci-layout nor manifest.json in it")
