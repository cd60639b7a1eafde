"""Images under their names: config and manifest as blobs, the name in ``index.json``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from kubeimage.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    ImageNotFoundError,
    LayerError,
    ReferenceFormatError,
)
from kubeimage.image.canonical import JsonObject
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Descriptor, Index
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.store import index, locks, manifests
from kubeimage.store.blobs import Blobs
from kubeimage.store.index import Entries
from kubeimage.store.layers import DirectoryLayerStore
from kubeimage.store.layout import Layout
from kubeimage.store.reading import ImageReader
from kubeimage.store.session import Session

if TYPE_CHECKING:
    from kubeimage.protocols.images import ImageRecord

Removal = Callable[[Callable[[Entries], Entries]], list[Digest]]
"""Changes the entries, removes the blobs that were needed for what is gone, and gives their digests."""

MakeEntry = Callable[[Reference | None], JsonObject]
"""Makes the entry of the index that shows an image under a name."""

_SHORTEST_ID = r"[0-9a-f]{6,64}"


class DirectoryImageStore:
    """Keeps images in an OCI image layout. A name belongs to one image at a time, the last that was given it.

    An image that loses its only name is gone from the list; its blobs stay until they are pruned.
    """

    def __init__(
        self,
        layout: Layout,
        session: Session,
        blobs: Blobs,
        layers: DirectoryLayerStore,
        reader: ImageReader,
        *,
        remove: Removal,
    ) -> None:
        self._layout = layout
        self._session = session
        self._blobs = blobs
        self._layers = layers
        self._reader = reader
        self._remove = remove

    def put(self, image: Image, references: Sequence[Reference] = ()) -> Digest:
        """Keep ``image`` and name it, once all its layers are there and on the disk.

        Raises: BlobNotFoundError, BlobCorruptError for a layer; StoreFullError, StoreAccessError.
        """
        manifest = self._keep(image)
        self.commit(lambda name: index.make_entry(image, manifest, name), references)
        return manifest.digest

    def put_index(self, images: Sequence[Image], references: Sequence[Reference] = ()) -> Digest:
        """Keep images for several platforms as one index, and name it, once all their layers are on the disk.

        Raises: BlobNotFoundError, BlobCorruptError for a layer; StoreFullError, StoreAccessError.
        """
        listed = [replace(self._keep(image), platform=image.platform) for image in images]
        data = Index(tuple(listed)).to_bytes()
        self._blobs.put(data)
        top = Descriptor.of(MEDIA_TYPE_INDEX, data)
        self.commit(lambda name: index.make_index_entry(top, [one.digest for one in listed], name), references)
        return top.digest

    def _keep(self, image: Image) -> Descriptor:
        """Keep an image's config and manifest, and give the manifest's descriptor."""
        self._blobs.hold_surely(layer.descriptor.digest for layer in image.layers)
        for layer in image.layers:
            if layer.blob is None and not self._blobs.is_sound(layer.diff_id, layer.size):
                self._layers.materialise(layer.diff_id)
        self._reader.check_layers(image)
        known = self._manifest_that_came(image)
        if known is not None:
            return known
        self._blobs.put(image.config)
        data = image.manifest.to_bytes()
        self._blobs.put(data)
        return Descriptor.of(MEDIA_TYPE_MANIFEST, data)

    def _manifest_that_came(self, image: Image) -> Descriptor | None:
        """Return the manifest that an image from elsewhere came with: another name for it changes no byte."""
        blobs = [layer.descriptor.digest for layer in image.layers]
        if not any(layer.blob for layer in image.layers):
            return None
        for descriptor, image_id in self._reader.iter_with_ids(index.read_entries(self._layout)):
            if image_id == image.id:
                self._blobs.hold([descriptor.digest, image_id])
                manifest = manifests.read_manifest(self._blobs, descriptor)
                if [layer.digest for layer in manifest.layers] == blobs:
                    return Descriptor(descriptor.media_type, descriptor.digest, descriptor.size)
        return None

    def commit(self, make_entry: MakeEntry, references: Sequence[Reference]) -> None:
        """Wait until all blobs are on the disk, and give each name its entry: nothing is to be seen before.

        Raises: BlobNotFoundError; StoreFullError, StoreAccessError.
        """
        self.commit_all([(make_entry, references)])

    def commit_all(
        self, images: Sequence[tuple[MakeEntry, Sequence[Reference]]], referrers: Entries | None = None
    ) -> None:
        """Commit several images at once, all or none; a name that two of them get is the last one's.

        ``referrers`` are the entries of what refers to them.

        Raises: BlobNotFoundError; StoreFullError, StoreAccessError.
        """
        named = [(make_entry, _names_for(make_entry(None), references)) for make_entry, references in images]

        def change(before: Entries) -> Entries:
            for make_entry, names in named:
                wanted: list[Reference | None] = [*names] or [None]
                before = _add(before, [make_entry(name) for name in wanted], names)
            if not referrers:
                return before
            from kubeimage.store.referrers import with_referrers

            return with_referrers(before, referrers, self._blobs)

        self._blobs.sync()
        with locks.shared(self._layout.gc_lock):
            index.change_entries(self._layout, self._session, change)

    def get(self, reference: Reference, platform: Platform | None = None) -> Image | None:
        """Return the image of that name; of several platforms, the one asked for, this machine's, or the first.

        Raises: BlobNotFoundError, BlobCorruptError where the name leads to a damaged image.
        """
        return index.look(self._layout, lambda entries: self._get(entries, reference, platform))

    def _get(self, entries: Entries, reference: Reference, platform: Platform | None) -> Image | None:
        found = list(self._reader.iter_manifests(index.find_entries(entries, reference)))
        if platform is not None:
            found = platform.choose(found, lambda one: manifests.platform_of(self._blobs, one))
        elif len(found) > 1:
            found = Platform.host().choose(found, lambda one: manifests.platform_of(self._blobs, one)) or found
        return self._reader.read(found[0]) if found else None

    def find(self, image_id: str) -> Image | None:
        """Return the image whose id starts with ``image_id``, if it is the only one.

        Raises: BlobNotFoundError, BlobCorruptError where the id leads to a damaged image.
        """
        if not re.fullmatch(_SHORTEST_ID, image_id):
            return None
        return index.look(self._layout, lambda entries: self._find(entries, image_id))

    def _find(self, entries: Entries, image_id: str) -> Image | None:
        found: dict[Digest, Descriptor] = {}
        for descriptor, known in self._reader.iter_with_ids(entries):
            if known.hex.startswith(image_id):
                found.setdefault(known, descriptor)
        return self._reader.read(next(iter(found.values()))) if len(found) == 1 else None

    def records(self, reference: Reference | None = None) -> list[ImageRecord]:
        """Every name and platform, or those of one name.

        Shape: sorted by name, images without one at the end; damaged images are left out.
        """
        return [record for record, _ in self._listed(reference)]

    def read_all(self) -> list[tuple[ImageRecord, Image | None]]:
        """Return every name and platform with its image, None where that is damaged; the list is searched once.

        Shape: sorted as ``records``.
        """
        found: list[tuple[ImageRecord, Image | None]] = []
        for record, descriptor in self._listed():
            image = None
            with suppress(BlobCorruptError, BlobNotFoundError, LayerError):
                image = self._reader.read(descriptor)
            found.append((record, image))
        return found

    def _listed(self, reference: Reference | None = None) -> list[tuple[ImageRecord, Descriptor]]:
        from kubeimage.protocols.images import ImageRecord

        listed = []
        entries = index.read_entries(self._layout)
        for entry in entries if reference is None else index.find_entries(entries, reference):
            name = index.reference_of(entry)
            for descriptor, image_id in self._reader.iter_with_ids([entry]):
                try:
                    platform = manifests.platform_of(self._blobs, descriptor)
                except (BlobNotFoundError, BlobCorruptError):
                    continue
                listed.append((ImageRecord(name, platform, descriptor.digest, image_id), descriptor))
        return sorted(listed, key=lambda one: one[0].place)

    def tag(self, source: Reference, target: Reference) -> None:
        """Add another name to the image.

        Raises: ImageNotFoundError.
        """
        name = _as_name(target)

        def change(before: Entries) -> Entries:
            found = index.find_entries(before, source)
            if not found:
                raise _not_found(source)
            return _add(before, [index.rename_entry(entry, name) for entry in found], [name])

        if not index.find_entries(index.read_entries(self._layout), source):
            raise _not_found(source)
        with locks.shared(self._layout.gc_lock):
            index.change_entries(self._layout, self._session, change)

    def remove(self, reference: Reference, platform: Platform | None = None) -> list[Digest]:
        """Take a name away, for one platform or for all, and give the digests of the blobs that went with it.

        Those stay that another image, the build cache or a running build needs.
        Raises: ImageNotFoundError.
        """

        def change(before: Entries) -> Entries:
            found = index.find_entries(before, reference)
            if not found:
                raise _not_found(reference)
            kept = [self._without(entry, platform) for entry in found] if platform is not None else []
            if kept == found:
                raise _not_found(reference, platform)
            return [entry for entry in before if entry not in found] + [entry for entry in kept if entry is not None]

        if not index.find_entries(index.read_entries(self._layout), reference):
            raise _not_found(reference)
        return self._remove(change)

    def _without(self, entry: JsonObject, platform: Platform) -> JsonObject | None:
        """Return an entry without its image for a platform; None where no image is left."""
        there = list(self._reader.iter_manifests([entry]))
        gone = [one for one in there if platform.matches(manifests.platform_of(self._blobs, one))]
        if len(gone) == len(there):
            return None
        return index.without_manifests(entry, there, gone) if gone else entry


def _add(before: Entries, entries: Entries, names: Sequence[Reference]) -> Entries:
    """Put ``entries`` in place of those that have their names, or that show the same image without a name."""
    if not names:
        return before if any(entry.get("digest") == entries[0]["digest"] for entry in before) else [*before, *entries]
    shown = {entry["digest"] for entry in entries}
    replaced = [entry for entry in before if _is_replaced(entry, names, shown)]
    if len(replaced) == len(entries) and all(entry in entries for entry in replaced):
        return before
    return [*(entry for entry in before if entry not in replaced), *entries]


def _is_replaced(entry: JsonObject, names: Sequence[Reference], shown: set[str]) -> bool:
    is_shown = index.is_dangling(entry) and str(entry.get("digest")) in shown
    return is_shown or any(index.is_named(entry, name) for name in names)


def _names_for(entry: JsonObject, references: Sequence[Reference]) -> list[Reference]:
    """Return the names that an entry is to have; a digest in one of them stays where it is the entry's own."""
    return list(dict.fromkeys(one if str(one.digest) == entry["digest"] else _as_name(one) for one in references))


def _as_name(reference: Reference) -> Reference:
    if not reference.tag:
        raise ReferenceFormatError(
            f"{str(reference)!r} cannot be a name of an image: it has a digest and no tag",
            hint=f"name it {reference.familiar().partition('@')[0]}:TAG",
        )
    return reference.with_tag(reference.tag)


def _not_found(reference: Reference, platform: Platform | None = None) -> ImageNotFoundError:
    which = f"{reference} for {platform}" if platform is not None else reference
    return ImageNotFoundError(f"no image {which} in the store", hint="kubeimage images lists what is there")
