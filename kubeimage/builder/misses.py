"""Why a step is not in the cache, as a person would say it."""

from __future__ import annotations

from itertools import islice

from kubeimage.image.digest import Digest
from kubeimage.protocols.cache import BuildCache
from kubeimage.protocols.cachekey import CacheKey

_LOOKED_AT = 10_000


def explain_miss(cache: BuildCache, first: CacheKey, parent: Digest, key: CacheKey | None) -> str:
    """Say why the step after ``parent`` is not in the cache; ``key`` is its key, where that is known."""
    earlier = cache.nearest(key) if key is not None else None
    if key is not None and earlier is not None:
        if _is_another_s(key, earlier):
            return "never built before"
        return key.difference(earlier) or "its layer is gone or damaged"
    if parent == first.digest and (before := cache.nearest(first)) is not None:
        return first.difference(before) or "never built before"
    return "never built before"


def _is_another_s(key: CacheKey, earlier: CacheKey) -> bool:
    """Whether two steps have nothing in common but what they stand on: one is no edit of the other.

    ``COPY app.yaml etc`` was not ``COPY dashboard.yaml etc`` before: that is another project on the same base.
    """
    old, new = _written(earlier), _written(key)
    if old and new and not old & new:
        return True
    before, now = _files(earlier), _files(key)
    return earlier.fields == key.fields and bool(before and now and not before & now)


def _written(key: CacheKey) -> set[str]:
    """Return the sources of a COPY, or the words of a RUN."""
    command = dict(key.fields).get("command", "")
    return {value for label, value in key.fields if label.startswith("source ")} | set(command.split())


def _files(key: CacheKey) -> set[str]:
    """Return where the files of a COPY land, the first of very many."""
    files = (path for path, what in key.sources if what.startswith("file "))
    return set(islice(files, _LOOKED_AT))
