"""What the executor asks of the build cache."""

from __future__ import annotations

from typing import Protocol

from kubeimage.image.digest import Digest
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.layers import StoredLayer
from kubeimage.values import dataclass


@dataclass(frozen=True)
class CachedStep:
    """What a step made: a layer, or nothing (``layer`` is None)."""

    layer: StoredLayer | None


class BuildCache(Protocol):
    """Remembers what steps made. It may forget at any time; it never answers wrongly."""

    def lookup(self, key: CacheKey) -> CachedStep | None:
        """Return what the step with this key made, or None."""
        ...

    def record(self, key: CacheKey, step: CachedStep) -> None:
        """Remember what the step with this key made."""
        ...

    def expects(self, parent: Digest) -> bool:
        """Whether any step after ``parent`` is remembered: if not, no lookup can hit."""
        ...

    def nearest(self, key: CacheKey) -> CacheKey | None:
        """Return the remembered key with the same parent that is most like ``key``, to say what differs."""
        ...
