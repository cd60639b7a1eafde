"""What is known of a layer's tar once it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from kubeimage.image.digest import Digest
from kubeimage.values import dataclass


@dataclass(frozen=True)
class StoredLayer:
    """A layer's tar: what was written, and what a store has.

    Units: ``size`` in bytes of the tar. ``digests`` are the sha256 (32 bytes) of each FILE's content, by path.
    """

    diff_id: Digest
    size: int
    digests: Mapping[str, bytes] = field(default_factory=dict)
