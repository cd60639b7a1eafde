"""Keys of the build cache: labelled, length-framed, versioned records that a person can read.

``key[0]`` names the base and the platform; ``key[i]`` names ``key[i-1]``, the instruction and its inputs. So equal keys
mean equal pasts, and two keys can say which field parts them.

Source: the project's design, "Execution" (Cache).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice, zip_longest

from kubeimage.image.digest import Digest
from kubeimage.values import dataclass

FORMAT_VERSION = 1

Fields = tuple[tuple[str, str], ...]

_BATCH = 1 << 13


@dataclass(frozen=True)
class CacheKey:
    """What a step's result depends on.

    Shape: ``parent`` is the key of the step before, None for the first. ``fields`` are (label, value) in order.
           ``sources`` are (path, description) of what a COPY puts into its layer, in canonical order; whoever knows
           their digest can give that alone, as ``known_sources``.
    """

    parent: Digest | None
    fields: Fields
    sources: Sequence[tuple[str, str]] = ()
    known_sources: Digest | None = None

    @cached_property
    def digest(self) -> Digest:
        """The sha256 of the whole record."""
        parent = str(self.parent) if self.parent is not None else ""
        head = [("version", str(FORMAT_VERSION)), ("parent", parent), *self.fields]
        return _digest_fields([*head, ("sources", str(self.sources_digest))])

    @cached_property
    def sources_digest(self) -> Digest:
        """The sha256 of ``sources`` alone."""
        return self.known_sources or (_digest_fields(self.sources) if self.sources else _NO_SOURCES)

    def difference(self, earlier: CacheKey) -> str | None:
        """Say which is the first field that differs from ``earlier``'s, as a person would; None if none does."""
        return _first_difference(earlier.fields, self.fields) or _first_source(earlier.sources, self.sources)


def _digest_fields(fields: Iterable[tuple[str, str]]) -> Digest:
    """Digest texts so that no two lists of fields feed the hash the same bytes: each is preceded by its length."""
    found = hashlib.sha256()
    left = iter(fields)
    while batch := list(islice(left, _BATCH)):
        framed = "".join([f"{len(label)}:{label}{len(value)}:{value}" for label, value in batch])
        if not framed.isascii():
            framed = "".join([f"{len(_encode(text))}:{text}" for pair in batch for text in pair])
        found.update(_encode(framed))
    return Digest(found.hexdigest())


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


_NO_SOURCES = _digest_fields(())


def _first_difference(before: Fields, after: Fields) -> str | None:
    old, new = dict(before), dict(after)
    for label in dict.fromkeys([*old, *new]):
        if label not in old:
            return f"{label} {new[label]} is new"
        if label not in new:
            return f"{label} {old[label]} is gone"
        if old[label] != new[label]:
            return f"{label}: {old[label]} -> {new[label]}"
    return None


def _first_source(before: Sequence[tuple[str, str]], after: Sequence[tuple[str, str]]) -> str | None:
    if not isinstance(before, tuple) or not isinstance(after, tuple):
        return _first_of_many(before, after)
    old, new = dict(before), dict(after)
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) != new.get(path):
            what = "added" if path not in old else "removed" if path not in new else "changed"
            return f"file {path} {what}"
    return None


def _first_of_many(before: Iterable[tuple[str, str]], after: Iterable[tuple[str, str]]) -> str | None:
    """Say which is the first source that differs, of lists that are too long to be held at once."""
    for old, new in zip_longest(before, after):
        if old == new:
            continue
        if old is not None and new is not None and old[0] == new[0]:
            return f"file {new[0]} changed"
        if new is None or (old is not None and _order(old[0]) < _order(new[0])):
            return f"file {old[0]} removed"
        return f"file {new[0]} added"
    return None


def _order(path: str) -> str:
    """Return what canonical order goes by."""
    return path.replace("/", "\0")
