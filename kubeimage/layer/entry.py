"""A changeset as data: what a layer adds, replaces and deletes.

Source: OCI image-spec v1.1, layer.md; the project's design, "Layers".
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

WHITEOUT_PREFIX = ".wh."
OPAQUE_MARKER = ".wh..wh..opq"


class Kind(Enum):
    """What an entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hard link"
    FIFO = "fifo"
    WHITEOUT = "whiteout"
    OPAQUE = "opaque whiteout"

    # An enum's own __hash__ is a Python function that shows up in profiles of 10,000 entries.
    __hash__ = object.__hash__


Owner = tuple[int, int]
"""User and group, by their numbers."""

ROOT: Owner = (0, 0)


class FileIdentity(NamedTuple):
    """What tells, without reading, that a file is still the one that was looked at."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


def identity_of(status: os.stat_result) -> FileIdentity:
    """Return what tells this file from any other, and from itself after a change."""
    # As FileIdentity(…) does it, in half the time.
    return tuple.__new__(
        FileIdentity, (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
    )


class Entry(NamedTuple):
    """One path of a changeset.

    Shape:  ``path`` is relative to the root, parted by ``/``, without a leading or trailing one. A WHITEOUT's path is
            the path it deletes, an OPAQUE's is the directory it empties (``""`` for the root).
            ``target`` is a SYMLINK's text, or the path of a HARDLINK's first name.
            ``owner`` is whose the entry is in its layer. What a step makes is root's; a directory that it only needs
            keeps the owner that it has below.
            ``source`` is a FILE's content: the bytes themselves, or the absolute path of a file that holds them; None
            where the entry was read from a layer's headers.
            ``identity`` is what the file at ``source`` was when it was looked at; who reads it checks that.
            ``digest`` is the sha256 (32 bytes) of a FILE's content, where somebody knows it.
    Units:  ``mode`` holds the permission bits (0o7777); ``size`` in bytes; ``mtime`` in whole seconds.
    """

    path: str
    kind: Kind
    mode: int = 0o644
    size: int = 0
    target: str = ""
    mtime: int = 0
    xattrs: tuple[tuple[str, bytes], ...] = ()
    owner: Owner = ROOT
    source: bytes | str | None = None
    identity: FileIdentity | None = None
    digest: bytes | None = None


def file(path: str, content: bytes, mode: int = 0o644) -> Entry:
    """Make a FILE that holds ``content``."""
    return Entry(path, Kind.FILE, mode, len(content), source=content)


def directory(path: str, mode: int = 0o755) -> Entry:
    """Make a DIRECTORY."""
    return Entry(path, Kind.DIRECTORY, mode)


def directory_as(path: str, below: Entry | None) -> Entry:
    """Return the DIRECTORY ``path`` as it stands ``below``, a new one where none stands there."""
    if below is None or below.kind is not Kind.DIRECTORY:
        return directory(path)
    return Entry(path, Kind.DIRECTORY, below.mode, xattrs=below.xattrs, owner=below.owner)


def symlink(path: str, target: str) -> Entry:
    """Make a SYMLINK; its mode is 0777, as Linux has it."""
    return Entry(path, Kind.SYMLINK, 0o777, target=target)


def whiteout(path: str) -> Entry:
    """Make a WHITEOUT that deletes ``path``."""
    return Entry(path, Kind.WHITEOUT, 0)


def opaque(path: str) -> Entry:
    """Make an OPAQUE whiteout that empties the directory ``path``."""
    return Entry(path, Kind.OPAQUE, 0)


def with_digest(entry: Entry, digest: bytes | None) -> Entry:
    """Return ``entry`` with the digest of its content."""
    # As entry._replace(digest=…) does it, in a tenth of the time.
    return tuple.__new__(Entry, (*entry[:-1], digest))


def sort_key(entry: Entry) -> str:
    """Order entries canonically: depth first, a directory, then its whiteouts, then its other entries by name bytes.

    NUL cannot stand in a name, so as a separator it sorts before all of them, and doubled before a sibling's name.
    Code points sort as their UTF-8 bytes do.
    """
    if entry.kind is Kind.WHITEOUT:
        parent, _, name = entry.path.rpartition("/")
        return _whiteout_key(parent, name)
    if entry.kind is Kind.OPAQUE:
        return _whiteout_key(entry.path, OPAQUE_MARKER.removeprefix(WHITEOUT_PREFIX))
    return entry.path.replace("/", "\0")


def _whiteout_key(directory: str, name: str) -> str:
    return (directory.replace("/", "\0") + "\0" if directory else "") + "\0" + name


def canonical_order(entries: Iterable[Entry]) -> list[Entry]:
    """Sort ``entries`` as a layer's tar has them."""
    return sorted(entries, key=sort_key)
