"""Images under their names: config and manifest as blobs, the name in ``index.json``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from kubeimage.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    ImageNotFoundError,
    ReferenceFormatError,
)
from kubeimage.image.canonical import JsonObject
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import MEDIA_TYPE_MANIFEST, Descriptor
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.protocols import ImageRecord
from kubeimage.store import index, locks, manifests
from kubeimage.store.blobs import REBUILD, Blobs
from kubeimage.store.index import Entries
from kubeimage.store.layout import Layout
from kubeimage.store.session import Session

Removal = Callable[[Callable[[Entries], Entries]], list[Digest]]
"""Changes the entries, removes the blobs that were needed for what is gone, and gives their digests."""

_T = TypeVar("_T")

_SHORTEST_ID = re.compile(r"[0-9a-f]{6,64}")


class DirectoryImageStore:
    """Keeps images in an OCI image layout. A name belongs to one image at a time, the last that was given it.

    An image that loses its only name is gone from the list; its blobs stay until they are pruned.
    """

    def __init__(self, layout: Layout, session: Session, blobs: Blobs, *, working: bool, remove: Removal) -> None:
        self._layout = layout
        self._session = session
        self._blobs = blobs
        self._working = working
        self._remove = remove

    def put(self, image: Image, references: Sequence[Reference] = ()) -> Digest:
        """Keep ``image`` and name it, once all its layers are there and on the disk.

        Raises: BlobNotFoundError, BlobCorruptError for a layer; StoreFullError, StoreAccessError.
        """
        names = list(dict.fromkeys(_as_name(reference) for reference in references))
        self._blobs.hold_surely(layer.diff_id for layer in image.layers)
        self._check_layers(image)
        self._blobs.put(image.config)
        data = image.manifest.to_bytes()
        manifest = Descriptor.of(MEDIA_TYPE_MANIFEST, data)
        self._blobs.put(data)
        self._blobs.sync()
        wanted: list[Reference | None] = [*names] or [None]
        entries = [index.make_entry(image, manifest, name) for name in wanted]
        with locks.shared(self._layout.gc_lock):
            index.change_entries(self._layout, self._session, lambda before: _add(before, entries, names))
        return manifest.digest

    def get(self, reference: Reference, platform: Platform | None = None) -> Image | None:
        """Give the image of that name; of several platforms, the one asked for, this machine's, or the first.

        Raises: BlobNotFoundError, BlobCorruptError where the name leads to a damaged image.
        """
        return self._look(lambda entries: self._get(entries, reference, platform))

    def _get(self, entries: Entries, reference: Reference, platform: Platform | None) -> Image | None:
        found = list(self._manifests(index.find_entries(entries, reference)))
        if platform is not None:
            found = [one for one in found if platform.matches(manifests.platform_of(self._blobs, one))]
        elif len(found) > 1:
            host = Platform.host()
            found.sort(key=lambda one: not host.matches(manifests.platform_of(self._blobs, one)))
        return self._read(found[0]) if found else None

    def find(self, image_id: str) -> Image | None:
        """Give the image whose id starts with ``image_id``, if it is the only one.

        Raises: BlobNotFoundError, BlobCorruptError where the id leads to a damaged image.
        """
        return self._look(lambda entries: self._find(entries, image_id)) if _SHORTEST_ID.fullmatch(image_id) else None

    def _find(self, entries: Entries, image_id: str) -> Image | None:
        found: dict[Digest, Descriptor] = {}
        for descriptor, known in self._iter_all(entries):
            if known.hex.startswith(image_id):
                found.setdefault(known, descriptor)
        return self._read(next(iter(found.values()))) if len(found) == 1 else None

    def records(self) -> list[ImageRecord]:
        """Every name and platform, sorted by name, images without one at the end; damaged images are left out."""
        records = []
        for entry in index.read_entries(self._layout):
            reference = index.reference_of(entry)
            for descriptor, image_id in self._iter_all([entry]):
                try:
                    platform = manifests.platform_of(self._blobs, descriptor)
                except (BlobNotFoundError, BlobCorruptError):
                    continue
                records.append(ImageRecord(reference, platform, descriptor.digest, image_id))
        return sorted(records, key=_by_name)

    def tag(self, source: Reference, target: Reference) -> None:
        """Give the image another name.

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

    def remove(self, reference: Reference) -> list[Digest]:
        """Take a name away, and give the digests of the blobs that went with it.

        Those stay that another image, the build cache or a running build needs.
        Raises: ImageNotFoundError.
        """

        def change(before: Entries) -> Entries:
            found = index.find_entries(before, reference)
            if not found:
                raise _not_found(reference)
            return [entry for entry in before if entry not in found]

        if not index.find_entries(index.read_entries(self._layout), reference):
            raise _not_found(reference)
        return self._remove(change)

    def _look(self, look: Callable[[Entries], _T]) -> _T:
        """Look for something in the index, and again where its blobs are gone because the index has changed since."""
        before: tuple[Entries, str] | None = None
        while True:
            entries = index.read_entries(self._layout)
            try:
                return look(entries)
            except BlobNotFoundError as error:
                if before == (entries, error.message):
                    raise
                before = entries, error.message

    def _check_layers(self, image: Image) -> None:
        """Make sure that every layer is there and whole."""
        for layer in image.layers:
            self._check_layer(layer.diff_id, layer.size)

    def _check_layer(self, diff_id: Digest, size: int) -> None:
        if not self._blobs.is_sound(diff_id, size):
            found = self._blobs.size(diff_id)
            what = f"has {found} bytes where {size} are recorded" if found != size else "is damaged"
            raise BlobCorruptError(f"the layer {diff_id} {what}", hint=REBUILD)

    def _read(self, descriptor: Descriptor) -> Image:
        """Read an image. In a working session its layers are checked too, and nobody removes any of it meanwhile."""
        if self._working:
            self._blobs.hold([descriptor.digest])
        image = manifests.read_image(self._blobs, descriptor)
        if self._working:
            self._blobs.hold([image.id, *(layer.diff_id for layer in image.layers)])
            self._check_layers(image)
        return image

    def _manifests(self, entries: Iterable[JsonObject]) -> Iterator[Descriptor]:
        for entry in entries:
            descriptor = index.image_of(entry)
            if descriptor is not None:
                yield from manifests.iter_manifests(self._blobs, descriptor)
            elif (what := index.problem_of(entry)) is not None:
                raise BlobCorruptError(
                    f"the list of images is damaged: {what}", hint="kubeimage fsck --repair writes the entry again"
                )

    def _iter_all(self, entries: Iterable[JsonObject]) -> Iterator[tuple[Descriptor, Digest]]:
        """Give each manifest and its image id, which costs no file access where the entry says it."""
        for entry in entries:
            written = index.image_id_of(entry)
            try:
                for descriptor in self._manifests([entry]):
                    yield descriptor, written or manifests.read_manifest(self._blobs, descriptor).config.digest
            except (BlobNotFoundError, BlobCorruptError):
                continue


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
    is_shown = index.is_dangling(entry) and entry.get("digest") in shown
    return is_shown or any(index.is_named(entry, name) for name in names)


def _as_name(reference: Reference) -> Reference:
    if not reference.tag:
        raise ReferenceFormatError(
            f"{str(reference)!r} cannot be a name of an image: it has a digest and no tag",
            hint=f"name it {reference.familiar().partition('@')[0]}:TAG",
        )
    return reference.with_tag(reference.tag)


def _not_found(reference: Reference) -> ImageNotFoundError:
    return ImageNotFoundError(f"no image {reference} in the store", hint="kubeimage images lists what is there")


def _by_name(record: ImageRecord) -> tuple[bool, str, Platform, Digest]:
    return record.reference is None, str(record.reference), record.platform, record.manifest
