"""What the executor asks of the stores of layers and of unpacked snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO, Protocol

from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry
from kubeimage.layer.stored import StoredLayer

if TYPE_CHECKING:
    from kubeimage.layer.splicing import Earlier


class LayerStore(Protocol):
    """Keeps layers' tars under their diff_ids. Layers never change."""

    def put(
        self,
        changeset: Sequence[Entry],
        *,
        watch: Callable[[int], None] | None = None,
        earlier: Earlier | None = None,
    ) -> StoredLayer:
        """Write ``changeset`` (in canonical order) as a canonical tar: read, frame, hash and write in one pass.

        Nothing is visible under the diff_id before the tar is whole. A layer that is there already stays as it is.
        What has not changed since ``earlier`` was made may be taken from there, once it proves to be what it was.
        ``watch`` is told now and then how many bytes are written: by one thread at a time, not always the caller's.
        Raises: StoreFullError, StoreAccessError; ContextError where a source changed or cannot be read.
        """
        ...

    def add(self, tar: BinaryIO, *, diff_id: Digest | None = None) -> StoredLayer:
        """Keep an existing tar, byte for byte; where ``diff_id`` is given, it must be that tar's.

        Raises: BlobCorruptError, LayerFormatError, PathEscapeError, StoreFullError.
        """
        ...

    def has(self, diff_id: Digest) -> bool:
        """Whether the layer is there, whole and undamaged (as far as that can be told cheaply)."""
        ...

    def size(self, diff_id: Digest) -> int:
        """The tar's size in bytes.

        Raises: BlobNotFoundError.
        """
        ...

    def open(self, diff_id: Digest) -> BinaryIO:
        """Open the tar for reading; it can seek.

        Raises: BlobNotFoundError.
        """
        ...

    def entries(self, diff_id: Digest) -> Iterator[Entry]:
        """Read the entries from the tar's headers, in its order; file content is passed over.

        Raises: BlobNotFoundError, LayerFormatError.
        """
        ...


class SnapshotStore(Protocol):
    """Keeps layers unpacked as overlayfs wants its lower directories, made when first asked for."""

    def path(self, diff_id: Digest) -> str:
        """Return the absolute path of the unpacked layer; nobody may write to it.

        Raises: BlobNotFoundError, BlobCorruptError, LayerError, StoreFullError.
        """
        ...

    def scratch(self) -> AbstractContextManager[str]:
        """Return an empty private directory on the same filesystem, removed afterwards whatever is in it."""
        ...

    def workspace(self) -> str:
        """Return an empty private directory on the same filesystem, which lasts until the store is closed.

        Raises: StoreFullError.
        """
        ...


__all__ = ["LayerStore", "SnapshotStore", "StoredLayer"]
