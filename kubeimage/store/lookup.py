"""Where names and digests lead in a store: to manifests and indexes, byte for byte as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEXES
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.store import index, manifests
from kubeimage.store.blobs import Blobs
from kubeimage.store.index import Entries
from kubeimage.store.layout import Layout


class Found(NamedTuple):
    """Where a name leads.

    Shape: ``top`` is the manifest or index that it names. ``manifests`` are those that are there, with what is no image
           for a machine; ``absent`` are those of the index that are not. ``inner`` are the indexes inside the index,
           innermost first.
    """

    top: Descriptor
    manifests: tuple[Descriptor, ...]
    absent: tuple[Descriptor, ...] = ()
    inner: tuple[Descriptor, ...] = ()


class Lookup:
    """Finds what is to leave, and what is here already of what arrives."""

    def __init__(self, layout: Layout, blobs: Blobs) -> None:
        self._layout = layout
        self._blobs = blobs

    def find(self, entries: Entries, name: Reference | Digest, platform: Platform | None = None) -> Found | None:
        """Find what a name, or the digest of a manifest or index, leads to; a ``platform`` leaves one manifest.

        Raises: BlobNotFoundError, BlobCorruptError.
        """
        chosen = index.find_entries(entries, name) if isinstance(name, Reference) else entries
        for entry in chosen:
            found = self._found_in(entry)
            if found is None:
                continue
            if isinstance(name, Digest) and name != found.top.digest:
                found = _only([one for one in found.manifests if one.digest == name])
            if found is not None and platform is not None:
                own = [one for one in found.manifests if manifests.is_for_a_machine(one)]
                found = _only(platform.choose(own, lambda one: manifests.platform_of(self._blobs, one)))
            if found is not None:
                return found
        return None

    def taken_of(self, top: Digest, listed: Iterable[Descriptor]) -> list[Descriptor]:
        """Return those that are ``listed`` in an index and that came with it before, under any name.

        The index itself is not read: it may be what has to come again.
        Raises: StoreError for a damaged list of images; StoreAccessError.
        """
        named = [entry for entry in index.read_entries(self._layout) if entry.get("digest") == str(top)]
        taken = [index.taken_of(entry) for entry in named]
        return [
            manifests.with_real_size(self._blobs, one)
            for one in listed
            if any(manifests.is_taken(one, each) for each in taken)
        ]

    def _found_in(self, entry: JsonObject) -> Found | None:
        named = index.image_of(entry)
        if named is None:
            return None
        top = Descriptor(named.media_type, named.digest, named.size)
        if top.media_type not in INDEXES:
            return Found(top, (top,))
        taken = index.taken_of(entry)
        self._blobs.hold([top.digest])
        document = manifests.read_index(self._blobs, top)
        inner, listed = manifests.hold_listed(self._blobs, document, self._blobs.hold)
        here = tuple(manifests.with_real_size(self._blobs, one) for one in listed if manifests.is_taken(one, taken))
        return Found(top, here, tuple(one for one in listed if not manifests.is_taken(one, taken)), tuple(inner))


def list_platforms(layout: Layout, blobs: Blobs, name: Reference) -> tuple[Digest, dict[Platform, Digest]] | None:
    """Return the digest of what a name leads to, and that of the manifest of each platform; None for no image.

    Raises: BlobNotFoundError, BlobCorruptError; StoreError.
    """

    def find(entries: Entries) -> tuple[Digest, dict[Platform, Digest]] | None:
        found = Lookup(layout, blobs).find(entries, name)
        if found is None:
            return None
        platforms: dict[Platform, Digest] = {}
        for one in (*found.manifests, *found.absent):
            if one.platform is not None or one in found.manifests:
                platform = one.platform or manifests.platform_of(blobs, one)
                if platform.os != "unknown":
                    platforms.setdefault(platform, one.digest)
        return found.top.digest, platforms

    return index.look(layout, find)


def _only(found: Sequence[Descriptor]) -> Found | None:
    return Found(found[0], (found[0],)) if found else None
