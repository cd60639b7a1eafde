"""Blobs of container images on their way into a layer: kept in the store while that is made, and until it is pruned.

They belong to no image of the store, so what is not held by a running session is garbage; until somebody collects it,
another build need not fetch it again.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable

from kubeimage.errors import BlobCorruptError
from kubeimage.image.digest import Digest
from kubeimage.store.blobs import Blobs
from kubeimage.store.layout import Layout


class BlobShelf:
    """Where blobs are put and found again, from several threads at once."""

    def __init__(self, layout: Layout, blobs: Blobs) -> None:
        self._layout = layout
        self._blobs = blobs
        self._lock = threading.Lock()

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Whether the blob is there, whole and verified; it stays until the session ends.

        Raises: StoreFullError, StoreAccessError.
        """
        with self._lock:
            self._blobs.hold_surely([digest])
        return self._blobs.is_sound(digest, size)

    def put(self, digest: Digest, size: int, chunks: Iterable[bytes]) -> None:
        """Keep a blob.

        Raises: BlobCorruptError where it is not what was asked for; StoreFullError, StoreAccessError; whatever
            ``chunks`` raises. Then nothing of it is there, but for what a `Resumable` one will go on with.
        """
        found, arrived = hashlib.sha256(), 0
        with self._blobs.receiving(digest, size, chunks) as (file, pieces):
            for chunk in pieces:
                found.update(chunk)
                arrived += len(chunk)
                file.write(chunk)
            if (arrived, found.hexdigest()) != (size, digest.hex):
                raise BlobCorruptError(
                    f"the blob {digest} of {size} bytes was asked for, and what came is {arrived} bytes, "
                    f"sha256:{found.hexdigest()}",
                    hint="get it again; if it stays so, it is damaged where it came from",
                )
            with self._lock:
                self._blobs.publish(file, digest, size)

    def path(self, digest: Digest) -> str:
        """Return the path of a blob that is there."""
        return self._layout.blob(digest)

    def read(self, digest: Digest) -> bytes:
        """Return the content of a small blob, verified.

        Raises: BlobNotFoundError, BlobCorruptError.
        """
        return self._blobs.read(digest, self._blobs.size(digest))
