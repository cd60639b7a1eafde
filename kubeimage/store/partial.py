"""The beginnings of blobs whose fetching was broken off, for whoever fetches them next.

    ingest/partial/HEX      the first bytes of a blob, as they came

Whoever goes on takes the file into its session by renaming it, so that it is one's alone. Nobody trusts it: the whole
blob has to have its digest in the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress

from kubeimage.disk.folders import make_private
from kubeimage.image.digest import Digest
from kubeimage.patterns import pattern
from kubeimage.store.layout import Layout

FOLDER = "partial"
"""The folder's name in ``ingest/``, where all others are sessions."""

LEAST = 64 << 10
"""Bytes that are worth to be kept: what is smaller is fetched again in one answer."""

_KEPT_FOR = 14 * 24 * 3600
_UNFINISHED = pattern(r"[0-9]+\.(?P<hex>[0-9a-f]{64})")


def unfinished_path(new_path: str, digest: Digest) -> str:
    """Return the path in a session's folder of a blob on its way: should the process die, its name says what it is."""
    return f"{new_path}.{digest.hex}"


def claim(layout: Layout, digest: Digest, most: int, path: str) -> int:
    """Move what there is of a blob to ``path``, and return how many bytes that are; 0 where there is nothing of use.

    Units:  ``most`` is how many bytes the blob has.
    """
    kept = _path(layout, digest)
    with suppress(OSError):
        os.rename(kept, path)
        status = os.lstat(path)
        if LEAST <= status.st_size <= most:
            os.chmod(path, 0o600)
            return status.st_size
        os.unlink(path)
    return 0


def keep(layout: Layout, digest: Digest, path: str) -> None:
    """Keep the file at ``path`` as the beginning of a blob, as far as that is possible; a longer one stays."""
    kept = _path(layout, digest)
    with suppress(OSError):
        size = os.lstat(path).st_size
        if size >= LEAST and size > _size(kept):
            make_private(os.path.dirname(kept))
            os.rename(path, kept)


def keep_all(layout: Layout, folder: str) -> None:
    """Keep what the session in ``folder``, whose process has died, had of blobs."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if found := _UNFINISHED.fullmatch(name):
                keep(layout, Digest(found["hex"]), os.path.join(folder, name))


def iter_partials(layout: Layout, *, older_than: float = 0) -> Iterator[str]:
    """Yield the path of each beginning, or of those that are ``older_than`` so many seconds."""
    folder = os.path.join(layout.ingest, FOLDER)
    with suppress(OSError):
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if not older_than or os.lstat(path).st_mtime < time.time() - older_than:
                yield path


def forget_old(layout: Layout) -> None:
    """Remove what nobody has gone on with for two weeks."""
    for path in iter_partials(layout, older_than=_KEPT_FOR):
        with suppress(OSError):
            os.unlink(path)


def _path(layout: Layout, digest: Digest) -> str:
    return os.path.join(layout.ingest, FOLDER, digest.hex)


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
