"""What the executor asks of the build cache."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from kubeimage.image.digest import Digest
from kubeimage.layer.stored import StoredLayer
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.values import dataclass


@dataclass(frozen=True)
class CachedStep:
    """What a step made: a layer, or nothing (``layer`` is None).

    Shape: with ``is_claim``, somebody says so who is not trusted: whoever can find out by doing the step does that.
    """

    layer: StoredLayer | None
    is_claim: bool = False


class BuildCache(Protocol):
    """Remembers what steps made. It may forget at any time; it never answers wrongly."""

    def foresee(self, first: CacheKey, keys: Iterable[CacheKey]) -> None:
        """Hear which steps will be looked up, in their order, after ``first``: so a cache far away is asked once.

        Shape: ``keys`` cost work to make; a cache that has everything at hand takes none.
        """
        ...

    def foresee_each(self, first: CacheKey, keys: Iterable[CacheKey]) -> None:
        """Hear of steps that stand on ``first`` alone, and will be looked up: a cache far away is asked at once.

        Shape: as in ``foresee``.
        """
        ...

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
