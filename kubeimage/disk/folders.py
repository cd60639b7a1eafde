"""Folders that nobody but their owner looks into."""

from __future__ import annotations

import os


def make_private(path: str) -> None:
    """Make the folder ``path``, and those above it that are missing, closed to everybody else; one that is there stays.

    Raises: OSError as ``os.makedirs`` does.
    """
    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        make_private(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def is_open(path: str) -> bool:
    """Return whether somebody else may do anything in the folder ``path``.

    Raises: OSError.
    """
    return bool(os.stat(path).st_mode & 0o077)
