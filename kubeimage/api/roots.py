"""The root file systems of other images, as something that COPY takes from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kubeimage.context.collector import ContextCollector
from kubeimage.disk.removal import remove_tree
from kubeimage.image.digest import Digest
from kubeimage.layer.apply import apply_changeset
from kubeimage.protocols.context import SourceCollector
from kubeimage.protocols.layers import LayerStore
from kubeimage.values import dataclass


@dataclass(frozen=True)
class UnpackedRoots:
    """Unpacks images into a temporary folder, for as long as something is copied from them."""

    layers: LayerStore

    @contextmanager
    def open(self, layers: Sequence[Digest]) -> Iterator[SourceCollector]:
        """Yield the merged root of ``layers``, lowest first.

        Raises: BlobNotFoundError, LayerError; StoreFullError, StoreAccessError.
        """
        folder = tempfile.mkdtemp(prefix="kubeimage-root-")
        try:
            os.chmod(folder, 0o755)  # noqa: S103  an image's root is for everybody, unlike a temporary folder
            for layer in layers:
                with self.layers.open(layer) as tar:
                    apply_changeset(folder, tar)
            yield ContextCollector(folder)
        finally:
            remove_tree(folder)
