"""Checks a whole store: every digest, size and reference, snapshots against layers, the build cache, leftovers.

Builds go on meanwhile, and nobody removes what is being checked: the check holds all of it, as a build would. A check
that repairs makes builds wait at their next step that touches the store.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

from kubeimage.errors import BlobCorruptError, BlobNotFoundError, DigestFormatError, LayerError, StoreError
from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEXES
from kubeimage.image.oci import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Descriptor
from kubeimage.image.reference import Reference
from kubeimage.store import index, layout, locks, manifests
from kubeimage.store.blobs import Blobs, hash_file
from kubeimage.store.comparison import first_difference
from kubeimage.store.failures import store_error, translated
from kubeimage.store.files import remove_tree, replace_file, write_new_file
from kubeimage.store.gc import CacheRecords
from kubeimage.store.index import Entries
from kubeimage.store.layers import DirectoryLayerStore
from kubeimage.store.layout import Layout
from kubeimage.store.records import Variant, iter_pairs, read_record, record_path, with_variants
from kubeimage.store.session import Session, leftovers, live_leases, remove_leftover
from kubeimage.store.snapshots import iter_snapshots
from kubeimage.store.unpacking import look_inside
from kubeimage.store.variants import Variants

_AGAIN = "run kubeimage fsck --repair"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Shape: ``damage`` False for what merely takes room, or will be made again when it is needed.
    """

    what: str
    where: str
    advice: str
    damage: bool = True
    repaired: bool = False


@runtime_checkable
class CheckedCache(CacheRecords, Protocol):
    """A build cache that can check itself."""

    def check(self, layers: set[Digest], *, repair: bool) -> Iterable[tuple[str, str, bool]]:
        """Give the path of each bad record, what is wrong with it, and whether that is damage.

        ``layers`` are those that are there and good; ``repair`` removes the records.
        """
        ...


def check(
    where: Layout,
    session: Session,
    blobs: Blobs,
    *,
    variants: Variants,
    layers: DirectoryLayerStore,
    cache: CacheRecords | None,
    repair: bool,
) -> list[Finding]:
    """Check the store, and repair what can be repaired safely; nothing to find where there is no store.

    Raises: StoreAccessError.
    """
    if not (where.is_complete() or os.path.exists(where.marker)):
        return []
    checker = _Checker(where, session, blobs, variants=variants, layers=layers, cache=cache, repair=repair)
    if not repair:
        return list(checker.run())
    session.folder(sweep=False)
    with locks.alone(where.gc_lock):
        return list(checker.run())


class _Checker:
    def __init__(
        self,
        where: Layout,
        session: Session,
        blobs: Blobs,
        *,
        variants: Variants,
        layers: DirectoryLayerStore,
        cache: CacheRecords | None,
        repair: bool,
    ) -> None:
        self._layout = where
        self._session = session
        self._blobs = blobs
        self._variants = variants
        self._layers = layers
        self._cache = cache
        self._repair = repair
        self._sizes: dict[Digest, int] = {}
        self._bad: dict[Digest, str] = {}
        self._unpacked: dict[Digest, int] = {}
        self._needed: set[Digest] = live_leases(where, but=session.name)

    def run(self) -> Iterator[Finding]:
        yield from self._check_files()
        entries, finding = self._read_index() if self._repair else self._hold_all()
        if finding is not None:
            yield finding
        else:
            yield from self._check_header(entries)
        self._hash_blobs()
        yield from self._check_variants()
        yield from self._check_images(entries)
        yield from self._check_blobs()
        yield from self._check_snapshots()
        yield from self._check_cache()
        yield from self._check_unneeded()
        yield from self._check_leftovers()

    def _hold_all(self) -> tuple[Entries, Finding | None]:
        """Read the index, and keep what is there now from being removed before it is checked.

        In a store that cannot be written, hope for the best.
        """
        with ExitStack() as stack:
            with suppress(StoreError):
                self._session.folder(sweep=False)
                stack.enter_context(locks.shared(self._layout.gc_lock))
            found = self._read_index()
            with suppress(StoreError):
                self._session.hold(*self._iter_digests())
            return found

    def _done(self, finding: Finding) -> Finding:
        return replace(finding, repaired=self._repair)

    def _check_files(self) -> Iterator[Finding]:
        data = layout.read_if_there(self._layout.marker)
        try:
            version = json.loads(data or b"")["imageLayoutVersion"]
        except (ValueError, KeyError, TypeError):
            version = None
        if version != "1.0.0":
            if self._repair:
                self._replace(self._layout.marker, layout.OCI_LAYOUT)
            what = "is missing" if data is None else "is damaged"
            advice = f"{_AGAIN}: it is written again"
            yield self._done(Finding(f"the mark of an image layout {what}", self._layout.marker, advice))

    def _read_index(self) -> tuple[Entries, Finding | None]:
        try:
            return index.read_entries(self._layout), None
        except StoreError as error:
            advice = f"{_AGAIN}: it is put aside, and the images are listed again with the names it still shows"
            finding = self._done(Finding(error.message, self._layout.index, advice))
        names = index.salvage_names(layout.read_if_there(self._layout.index) or b"")
        indexes = [entry for digest, given in sorted(names.items()) for entry in self._list_index(digest, given)]
        listed = {digest for entry in indexes for digest in index.taken_of(entry) or ()}
        alone = [one for one in self._manifests if one.digest not in listed]
        entries = [*indexes, *(entry for manifest in alone for entry in self._list(manifest, names))]
        if self._repair:
            if os.path.lexists(self._layout.index):
                aside = f"{self._layout.index}.damaged"
                with translated("put aside", self._layout.index):
                    os.replace(self._layout.index, aside)
            self._replace(self._layout.index, index.encode_entries(entries))
        return entries, finding

    def _list(self, manifest: Descriptor, names: Mapping[str, Sequence[Reference]]) -> Entries:
        """Make the entries of an image; one without a name is nobody's, lest it is pruned."""
        given = names.get(str(manifest.digest), ())
        with suppress(StoreError, LayerError):
            image = manifests.read_image(self._blobs, self._variants, manifest) if given else None
            if image is not None:
                return [index.make_entry(image, manifest, name) for name in given]
        return [manifest.to_json()]

    def _check_header(self, entries: Entries) -> Iterator[Finding]:
        value = canonical.decode(layout.read_if_there(self._layout.index) or index.encode_entries(entries))
        found = value.get("schemaVersion"), value.get("mediaType", MEDIA_TYPE_INDEX)
        if found != (2, MEDIA_TYPE_INDEX):
            if self._repair:
                self._replace(self._layout.index, index.encode_entries(entries))
            what = f"the list of images is no image index of version 2, but {found[1]!r} of version {found[0]!r}"
            yield self._done(Finding(what, self._layout.index, f"{_AGAIN} to write it again"))

    @cached_property
    def _manifests(self) -> list[Descriptor]:
        """The manifests among the blobs."""
        return list(self._iter_manifests())

    def _iter_manifests(self) -> Iterator[Descriptor]:
        for digest in sorted(self._iter_digests()):
            size = self._blobs.size(digest)
            if size > manifests.LARGEST_MANIFEST:
                continue
            descriptor = Descriptor(MEDIA_TYPE_MANIFEST, digest, size)
            try:
                manifest = manifests.read_manifest(self._blobs, descriptor)
            except (BlobCorruptError, BlobNotFoundError):
                continue
            yield replace(descriptor, media_type=manifest.media_type)

    def _iter_digests(self) -> Iterator[Digest]:
        with translated("list the blobs in", self._layout.blobs):
            names = os.listdir(self._layout.blobs)
        for name in names:
            try:
                yield Digest.parse(f"sha256:{name}")
            except DigestFormatError:
                continue

    def _hash_blobs(self) -> None:
        for digest in self._iter_digests():
            path = self._layout.blob(digest)
            try:
                with open(path, "rb") as file:
                    found = hash_file(file)
                    self._sizes[digest] = file.tell()
            except FileNotFoundError:
                continue
            except OSError as error:
                self._bad[digest] = store_error(error, "read", path).message
                continue
            if found != digest:
                self._bad[digest] = f"the blob {digest} is damaged: its bytes are {found}"

    def _check_variants(self) -> Iterator[Finding]:
        """Uncompress every compressed layer, and compare it with what is recorded of it."""
        for diff_id, blob in iter_pairs(self._layout):
            path = record_path(self._layout, diff_id, blob)
            record = read_record(path)
            what = "it is damaged" if record is None else self._mistake_in(record)
            if what is None:
                continue
            if self._repair:
                remove_tree(path)
            advice = f"{_AGAIN} to remove it; what it says is found out again when it is needed"
            yield self._done(
                Finding(
                    f"the record of a compressed layer is of no use: {what}", path, advice, damage=record is not None
                )
            )

    def _mistake_in(self, record: Variant) -> str | None:
        if record.blob not in self._sizes or record.blob in self._bad:
            return None
        descriptor = record.descriptor
        try:
            with self._blobs.open(record.blob) as file:
                found = look_inside(file, descriptor, most=record.size)
        except (LayerError, StoreError) as error:
            return error.message
        if (found.diff_id, found.size) == (record.diff_id, record.size):
            self._unpacked[found.diff_id] = found.size
            return None
        return f"the blob {record.blob} holds the layer {found.diff_id}, not {record.diff_id}"

    def _check_images(self, entries: Entries) -> Iterator[Finding]:
        good: Entries = []
        for entry in entries:
            self._need(entry)
            what = self._problem_of(entry)
            kept = entry if what is None else self._mend(entry)
            if kept is not None:
                self._need(kept)
                good.append(kept)
            if what is not None:
                name = index.reference_of(entry) or entry.get("digest")
                mend, give_up = "to write its entry again", "to take the name away, then build or load it again"
                advice = f"{_AGAIN} {give_up if kept is None else mend}"
                yield self._done(Finding(f"the image {name} is broken: {what}", self._layout.index, advice))
        self._needed = with_variants(self._layout, self._needed)
        yield from self._check_names(good)
        if good != entries and self._repair:
            index.change_entries(self._layout, self._session, lambda _: good)

    def _need(self, entry: JsonObject) -> None:
        descriptor = index.descriptor_of(entry)
        if descriptor is not None:
            self._needed |= manifests.digests_of(self._blobs, descriptor, index.taken_of(entry))

    def _mend(self, entry: JsonObject) -> JsonObject | None:
        """Make an entry of ours anew, where only the entry is damaged and not the image."""
        image_id, digest = index.image_id_of(entry), entry.get("digest")
        if index.has_manifests(entry):
            return self._mend_index(entry)
        for manifest in self._manifests if index.is_ours(entry) else ():
            with suppress(StoreError, LayerError):
                image = manifests.read_image(self._blobs, self._variants, manifest)
                if image.id == image_id or str(manifest.digest) == digest:
                    made = index.make_entry(image, manifest, index.reference_of(entry))
                    if self._problem_of(made) is None:
                        return made
        return None

    def _mend_index(self, entry: JsonObject) -> JsonObject | None:
        reference, digest = index.reference_of(entry), str(entry.get("digest"))
        for made in self._list_index(digest, [reference] if reference is not None else [None]):
            if self._problem_of(made) is None:
                return made
        return None

    def _list_index(self, digest: str, references: Sequence[Reference | None]) -> Entries:
        """Make the entries of an image index, with those of its manifests that are there."""
        try:
            known = Digest.parse(digest)
            descriptor = Descriptor(MEDIA_TYPE_INDEX, known, self._blobs.size(known))
            document = manifests.read_index(self._blobs, descriptor)
        except (DigestFormatError, StoreError):
            return []
        there = set(self._iter_digests())
        taken = [one.digest for one in document.manifests if one.digest in there]
        top = replace(descriptor, media_type=document.media_type)
        return [index.make_index_entry(top, taken, reference) for reference in references] if taken else []

    def _problem_of(self, entry: JsonObject) -> str | None:
        descriptor = index.descriptor_of(entry)
        if descriptor is None:
            return "its entry is no descriptor"
        if (what := index.problem_of(entry)) is not None:
            return what
        for blob in manifests.blobs_of(self._blobs, descriptor, index.taken_of(entry)):
            if (what := self._problem_with(blob)) is not None:
                return what
        if index.image_of(entry) is None:
            return None
        try:
            return self._problem_inside(entry, descriptor)
        except (BlobCorruptError, BlobNotFoundError, LayerError) as error:
            return error.message

    def _problem_with(self, blob: Descriptor) -> str | None:
        if blob.digest in self._bad:
            return self._bad[blob.digest]
        size = self._sizes.get(blob.digest)
        if size is None:
            return f"the blob {blob.digest} is missing"
        return None if size == blob.size else f"the blob {blob.digest} has {size} bytes where {blob.size} are recorded"

    def _problem_inside(self, entry: JsonObject, descriptor: Descriptor) -> str | None:
        """Look whether config, manifest and index say the same."""
        for manifest in manifests.iter_manifests(self._blobs, descriptor, index.taken_of(entry)):
            config = manifests.read_manifest(self._blobs, manifest).config
            if (what := self._problem_of_platform(manifest)) is not None:
                return what
            written = index.image_id_of(entry)
            if written not in (None, config.digest) and descriptor.media_type not in INDEXES:
                return f"its entry gives the image id {written}, the manifest {config.digest}"
        return None

    def _problem_of_platform(self, manifest: Descriptor) -> str | None:
        try:
            image = manifests.read_image(self._blobs, self._variants, manifest)
        except (BlobCorruptError, BlobNotFoundError):
            raise
        except StoreError:
            # Something that is no image has nothing to say about a machine.
            return None
        if manifest.platform is None or manifest.platform.is_alike(image.platform):
            return None
        return f"it is listed for {manifest.platform}, and is for {image.platform}"

    def _check_names(self, entries: Entries) -> Iterator[Finding]:
        """Point out names that are odd: no damage that anybody could prove, for other tools give names too."""
        seen: set[tuple[str, str]] = set()
        for entry in entries:
            reference, disagreeing = index.reference_of(entry), index.disagreeing_name(entry)
            key = (str(reference), json.dumps(entry.get("platform"), sort_keys=True))
            what = advice = ""
            if reference is None and not index.is_dangling(entry) and index.image_of(entry) is not None:
                what = f"the image {entry.get('digest')} has no name"
                advice = "find it by its id with kubeimage images, and name it with kubeimage tag"
            elif disagreeing is not None:
                what = f"an image has two names in one entry: {reference}, which counts, and {disagreeing}"
                advice = "if another tool renamed it, name it again with kubeimage tag"
            elif reference is not None and key in seen:
                what = f"two images are called {reference}"
                advice = "the first one counts; give the name anew with kubeimage tag"
            seen.add(key)
            if what:
                yield Finding(what, self._layout.index, advice, damage=False)

    def _check_blobs(self) -> Iterator[Finding]:
        for digest, what in sorted(self._bad.items()):
            path = self._layout.blob(digest)
            # What has no mark was never waited for: a power cut may spoil it, and nobody trusts it.
            damage = digest in self._needed or _has_mark(path)
            if self._repair:
                self._blobs.forget([digest])
                remove_tree(path)
            yield self._done(Finding(what, path, f"{_AGAIN} to remove it", damage=damage))

    def _check_snapshots(self) -> Iterator[Finding]:
        for snapshot in iter_snapshots(self._layout):
            gone = snapshot.diff_id not in self._good_layers()
            if gone or not snapshot.current:
                what = "its layer is gone" if gone else "it was made before this machine was started"
                damage = False
            else:
                difference = self._difference(snapshot.diff_id, snapshot.path)
                if difference is None:
                    continue
                what, damage = difference, True
            if self._repair:
                remove_tree(snapshot.path)
            advice = f"{_AGAIN} to remove it; it is unpacked again when it is needed"
            yield self._done(Finding(f"the unpacked layer is not as it was: {what}", snapshot.path, advice, damage))

    def _difference(self, diff_id: Digest, path: str) -> str | None:
        try:
            with self._layers.open(diff_id) as tar:
                return first_difference(path, tar)
        except OSError as error:
            return f"it cannot be read: {error}"

    def _check_cache(self) -> Iterator[Finding]:
        if isinstance(self._cache, CheckedCache):
            for path, what, damage in self._cache.check(self._good_layers(), repair=self._repair):
                advice = f"{_AGAIN} to remove it; the step is done again when it is needed"
                yield self._done(Finding(what, path, advice, damage))

    def _check_unneeded(self) -> Iterator[Finding]:
        cached = self._cache.layers() if self._cache is not None else set()
        unneeded = self._sizes.keys() - self._bad.keys() - with_variants(self._layout, self._needed | cached)
        if unneeded:
            size = sum(self._sizes[digest] for digest in unneeded)
            what = f"{len(unneeded)} blobs ({size} bytes) belong to no image"
            yield Finding(what, self._layout.blobs, "kubeimage prune frees the room", damage=False)

    def _check_leftovers(self) -> Iterator[Finding]:
        for path in leftovers(self._layout):
            if self._repair:
                remove_leftover(path)
            advice = "the next build removes it"
            yield self._done(Finding("what a process left that died", path, advice, damage=False))

    def _good_layers(self) -> set[Digest]:
        """Give the blobs that are there and whole, and the layers that compressed ones hold."""
        return (self._sizes.keys() - self._bad.keys()) | self._unpacked.keys()

    def _replace(self, path: str, data: bytes) -> None:
        written = self._session.new_path()
        write_new_file(written, data)
        replace_file(written, path)


def _has_mark(path: str) -> bool:
    try:
        return os.lstat(path).st_mtime_ns == 0
    except OSError:
        return False
