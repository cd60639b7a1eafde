"""A little room that is kept for the day when the disk is full: removing an image needs some, to say that it is gone.

The file holds nothing. It is let go where a removal finds no room, and made again when there is some.
"""

from __future__ import annotations

import os
from contextlib import suppress

from kubeimage.errors import StoreError
from kubeimage.store.files import write_new_file
from kubeimage.store.layout import Layout

_SIZE = 128 << 10
"""Bytes: some hundred images' entries in the list, and the blocks of a session's folder."""


def keep_reserve(layout: Layout) -> None:
    """Make the reserve where it is missing, if there is room; without it nothing but this is lost."""
    size = _SIZE
    with suppress(OSError):
        # The list is written anew before the old one goes.
        size = max(size, 2 * os.path.getsize(layout.index))
    with suppress(OSError):
        if os.path.getsize(layout.reserve) >= size:
            return
    try:
        with suppress(FileNotFoundError):
            os.unlink(layout.reserve)
        # Noise: a file system that compresses must not take it for nothing.
        write_new_file(layout.reserve, os.urandom(size), durable=False)
    except (StoreError, OSError):
        let_go(layout)


def let_go(layout: Layout) -> bool:
    """Free the room of the reserve for whoever needs it; whether there was any."""
    try:
        os.unlink(layout.reserve)
    except OSError:
        return False
    return True
