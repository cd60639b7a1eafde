"""When each image was last used: a file without content for each manifest, whose time is that.

    cache/uses/HEX    the manifest's digest

What is built on, run, exported, saved or pushed is used. What is listed or inspected is not. It may be lost at any
time, and is noted at most once an hour.
"""

from __future__ import annotations

import os
from contextlib import suppress

from kubeimage.disk.lastuse import last_use as time_of
from kubeimage.disk.lastuse import note_use as note
from kubeimage.image.digest import Digest
from kubeimage.store.layout import Layout


def note_use(layout: Layout, manifest: Digest) -> None:
    """Note that an image is used now; a store that cannot be written is no reason to fail."""
    path = _path(layout, manifest)
    with suppress(OSError):
        if not os.path.exists(path) and os.path.isdir(layout.cache):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    note(path)


def last_use(layout: Layout, manifest: Digest) -> float | None:
    """Return when an image was last used, or came into the store; None where it is not there.

    Units:  seconds since 1970.
    """
    if used := time_of(_path(layout, manifest)):
        return used
    with suppress(OSError):
        return os.stat(layout.blob(manifest)).st_ctime
    return None


def _path(layout: Layout, manifest: Digest) -> str:
    return os.path.join(layout.cache, "uses", manifest.hex)
