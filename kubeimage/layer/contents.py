"""What the files of a merged tree hold, read from the layers that they are in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import BinaryIO

from kubeimage.layer.reader import iter_contents
from kubeimage.layer.tree import Tree


def content_digests(tree: Tree, paths: Iterable[str], open_layer: Callable[[int], BinaryIO]) -> dict[str, bytes]:
    """Give the sha256 (32 bytes) of the FILEs ``paths``, reading each layer that has one of them once.

    Raises: LayerFormatError; whatever ``open_layer`` raises.
    """
    wanted: dict[int, set[str]] = {}
    for path in paths:
        wanted.setdefault(tree.layer_of(path), set()).add(path)
    digests = {}
    for layer, names in wanted.items():
        with open_layer(layer) as tar:
            for entry, content in iter_contents(tar):
                if entry.path in names and content is not None:
                    digests[entry.path] = hashlib.file_digest(content, "sha256").digest()
    return digests
