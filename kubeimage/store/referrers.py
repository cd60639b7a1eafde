"""What refers to the images of a store: entries of ``index.json`` beside theirs, as ``oras`` lists them.

Such an entry names the subject, and cosign's tag where the artefact is found by that. It stays as long as the subject
does: who takes an image out of the list takes them out too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import BinaryIO

from kubeimage.errors import BlobCorruptError, BlobNotFoundError, DigestFormatError, KubeimageError, StoreError
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.oci import ANNOTATION_FULL_NAME, ANNOTATION_REF_NAME, Descriptor, Index
from kubeimage.image.referrers import ALL_REFERRERS, Referrer, ReferrerChoice, read_referrer
from kubeimage.image.referring import LARGEST_CONTENT, FoundReferrer, read_artifact, walk_referrers
from kubeimage.protocols.transfer import WireImage
from kubeimage.store import index, locks, manifests
from kubeimage.store.blobs import REBUILD, Blobs
from kubeimage.store.failures import translated
from kubeimage.store.index import ANNOTATION_SUBJECT, Entries
from kubeimage.store.layout import Layout
from kubeimage.store.session import Session

ANNOTATION_OF = "io.kubeimage.referrer.image"
"""The image of this store that a referrer belongs to, where its subject is the form in which that travels."""

_OURS = "io.kubeimage."
_NAMES = (ANNOTATION_REF_NAME, ANNOTATION_FULL_NAME)

_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)


def make_referrer_entry(referrer: Referrer, image: Digest | None = None) -> JsonObject:
    """Make the entry that lists an artefact; ``image`` is whom it belongs to, where that is not the subject."""
    annotations = _foreign(referrer.manifest.annotations) | {ANNOTATION_SUBJECT: str(referrer.subject)}
    if referrer.tag:
        annotations[ANNOTATION_REF_NAME] = referrer.tag
    if image is not None and image != referrer.subject:
        annotations[ANNOTATION_OF] = str(image)
    made = replace(referrer.manifest, annotations=annotations).to_json()
    return {**made, "artifactType": referrer.artifact_type} if referrer.artifact_type else made


def referrer_of(entry: JsonObject) -> Referrer | None:
    """Return the artefact that an entry lists; None for an image's, and for one that cannot be understood."""
    try:
        subject = Digest.parse(index.subject_in(entry))
    except DigestFormatError:
        return None
    manifest = index.descriptor_of(entry)
    if manifest is None:
        return None
    tag = manifest.annotations.get(ANNOTATION_REF_NAME, "")
    return Referrer(
        replace(manifest, annotations=_foreign(manifest.annotations)),
        subject,
        str(entry.get("artifactType") or ""),
        tag,
    )


def _foreign(annotations: Mapping[str, str]) -> dict[str, str]:
    """Leave out what in this list means something: whoever made the artefact has no say in that."""
    return {name: value for name, value in annotations.items() if not name.startswith(_OURS) and name not in _NAMES}


def owner_in(entry: JsonObject) -> str:
    """Return the digest, as it is written, of what an artefact belongs to."""
    annotations = entry.get("annotations")
    written = annotations.get(ANNOTATION_OF) if isinstance(annotations, dict) else None
    return written if isinstance(written, str) else index.subject_in(entry)


def without_orphans(entries: Entries, blobs: Blobs) -> Entries:
    """Leave out the artefacts that belong to no image that is listed.

    Raises: StoreAccessError.
    """
    waiting = [entry for entry in entries if index.is_referrer(entry)]
    if not waiting:
        return entries
    there = documents_in((entry for entry in entries if not index.is_referrer(entry)), blobs)
    kept: set[int] = set()
    while found := [one for one in waiting if owner_in(one) in there]:
        kept |= {id(one) for one in found}
        there |= {str(one.get("digest")) for one in found}
        waiting = [one for one in waiting if id(one) not in kept]
    return [entry for entry in entries if not index.is_referrer(entry) or id(entry) in kept]


def documents_in(entries: Iterable[JsonObject], blobs: Blobs) -> set[str]:
    """Return the digests, as they are written, of the manifests and indexes that images' entries lead to.

    Raises: StoreAccessError.
    """
    found: set[str] = set()
    for entry in entries:
        found.add(str(entry.get("digest")))
        taken = index.taken_of(entry)
        if taken is not None:
            found |= {str(one) for one in taken}
        elif (descriptor := index.image_of(entry)) is not None and not index.is_one_image(entry):
            found |= _listed(descriptor, blobs)
    return found


def _listed(descriptor: Descriptor, blobs: Blobs) -> set[str]:
    """Return what another tool's entry leads to, as far as that can be read."""
    try:
        document = manifests.read_document(blobs, descriptor)
        if not isinstance(document, Index):
            return set()
        listed = (*manifests.inner_indexes(blobs, document), *manifests.listed_in(blobs, document))
    except (BlobNotFoundError, BlobCorruptError):
        return set()
    return {str(one.digest) for one in listed}


def add_referrers(before: Entries, added: Entries) -> Entries:
    """Put artefacts into the list: one that is there stays, and one of cosign's tags leads to the newest."""
    if not added:
        return before
    fresh = {(one["digest"], index.subject_in(one)): one for one in added}
    tags = {tag for one in added if (tag := _tag_in(one))}
    kept = [
        one
        for one in before
        if not index.is_referrer(one)
        or ((one.get("digest"), index.subject_in(one)) not in fresh and _tag_in(one) not in tags)
    ]
    after = [*kept, *fresh.values()]
    return before if len(after) == len(before) and all(one in before for one in fresh.values()) else after


def _tag_in(entry: JsonObject) -> str:
    found = referrer_of(entry)
    return found.tag if found is not None else ""


def is_chosen(referrer: Referrer, choice: ReferrerChoice) -> bool:
    """Whether an artefact is wanted."""
    return choice.takes(referrer.artifact_type, referrer.tag, referrer.manifest.annotations)


def find_in(read: Callable[[Digest], bytes], referrer: Referrer) -> FoundReferrer:
    """Return an artefact with all that it consists of, of which ``read`` reads the manifests.

    Raises: BlobCorruptError; what ``read`` raises.
    """
    data = read(referrer.digest)
    try:
        read_referrer(data, referrer.subject, referrer.tag)
        return read_artifact(data, referrer, lambda inner: read(inner.digest))
    except (BlobNotFoundError, BlobCorruptError):
        raise
    except _BAD as error:
        raise BlobCorruptError(f"the {referrer} is damaged: {error}", hint=REBUILD) from error


class StoreReferrers:
    """The artefacts of a store. The parts of a store belong to one thread, and so does this."""

    def __init__(self, layout: Layout, session: Session, blobs: Blobs) -> None:
        self._layout = layout
        self._session = session
        self._blobs = blobs

    def list_all(self) -> list[Referrer]:
        """Return every artefact that is listed.

        Raises: StoreError for a damaged list.
        """
        listed = [entry for entry in index.read_entries(self._layout) if index.is_referrer(entry)]
        return [one for entry in listed if (one := referrer_of(entry)) is not None]

    def list_referrers(self, subject: Digest) -> list[Referrer]:
        """Return what refers to a manifest or index, in the order of digests; not what refers to that in turn.

        Raises: StoreError for a damaged list.
        """
        return sorted((one for one in self.list_all() if one.subject == subject), key=lambda one: one.digest)

    def read_manifest(self, digest: Digest) -> bytes:
        """Return the manifest of an artefact, verified.

        Raises: BlobNotFoundError, BlobCorruptError.
        """
        self._blobs.hold([digest])
        return self._blobs.read(digest, self._blobs.size(digest))

    def read_blob(self, blob: Descriptor) -> bytes:
        """Return a blob of an artefact, verified.

        Raises: BlobNotFoundError; BlobCorruptError, also for one that is too large to be read at once;
            StoreAccessError.
        """
        if blob.size > LARGEST_CONTENT:
            raise BlobCorruptError(f"the blob {blob.digest} has {blob.size} bytes; at most {LARGEST_CONTENT} are read")
        with self.open_blob(blob) as file, translated("read", self._layout.blob(blob.digest)):
            return file.read()

    def open_blob(self, blob: Descriptor) -> BinaryIO:
        """Open a blob of an artefact, once it is known to be whole.

        Raises: BlobNotFoundError, BlobCorruptError.
        """
        self._blobs.hold([blob.digest])
        if not self._blobs.is_sound(blob.digest, blob.size):
            self._blobs.size(blob.digest)
            raise BlobCorruptError(f"the blob {blob.digest} is damaged", hint=REBUILD)
        return self._blobs.open(blob.digest)

    def walk(self, subjects: Iterable[Digest], choice: ReferrerChoice = ALL_REFERRERS) -> list[FoundReferrer]:
        """Return what refers to ``subjects``, and what refers to that in turn, with all that it consists of.

        Raises: BlobNotFoundError, BlobCorruptError, which name what is damaged; StoreError.
        """
        by_subject: dict[Digest, list[Referrer]] = {}
        for one in self.list_all() if choice else ():
            if is_chosen(one, choice):
                by_subject.setdefault(one.subject, []).append(one)

        def list_level(level: Sequence[Digest]) -> list[FoundReferrer]:
            return [self.find(one) for subject in level for one in by_subject.get(subject, ())]

        try:
            return walk_referrers(subjects, list_level)
        except ValueError as error:
            raise StoreError(f"what refers to images in the store cannot be followed: {error}") from error

    def attach(self, image: WireImage, stored: Sequence[Digest], choice: ReferrerChoice) -> WireImage:
        """Return an image on its way with what refers to it; ``stored`` are its manifests as they are in the store.

        Raises: as ``walk``.
        """
        if not choice:
            return image
        listed = [entry for entry in index.read_entries(self._layout) if index.is_referrer(entry)]
        if not listed:
            return image
        sent = [image.top.digest, *(one.descriptor.digest for one in image.documents)]
        found = self.walk(dict.fromkeys(sent), choice)
        going = {one.referrer.digest for one in found}
        owned = {str(one) for one in (*stored, *sent)}
        about = [referrer_of(entry) for entry in listed if owner_in(entry) in owned]
        left = [one for one in about if one is not None and one.digest not in going and is_chosen(one, choice)]
        return replace(image, referrers=tuple(found), left=tuple(left))

    def find(self, referrer: Referrer) -> FoundReferrer:
        """Return an artefact with all that it consists of.

        Raises: BlobNotFoundError, BlobCorruptError.
        """
        return find_in(self.read_manifest, referrer)

    def add(
        self,
        data: bytes,
        subject: Digest,
        contents: Mapping[Digest, bytes],
        *,
        tag: str = "",
        image: Digest | None = None,
        seen: Collection[Digest] | None = None,
    ) -> Referrer:
        """Keep an artefact with its manifest ``data``, and list it; one of cosign's tags then leads to it alone.

        Shape:  ``contents`` are its blobs; those that the store has need not be given. ``tag`` is cosign's, where the
                manifest has no ``subject`` of its own. ``image`` is the store's own manifest or index that it belongs
                to, where ``subject`` is the form in which that travels. ``seen`` is what the tag led to when somebody
                looked; where it leads to something else by now, nothing is listed.
        Raises: BlobCorruptError for what is no manifest, or has another subject; BlobNotFoundError where a blob or the
            image is missing; StoreFullError, StoreAccessError.
        """
        try:
            referrer, artifact = read_referrer(data, subject, tag)
        except ValueError as error:
            raise BlobCorruptError(f"{Digest.of(data)} is no artefact that can be kept: {error}") from error
        for content in (*contents.values(), data):
            self._blobs.put(content)
        needed = [*artifact.blobs, *artifact.manifests]
        self._blobs.hold_surely(one.digest for one in needed)
        for one in needed:
            self.open_blob(one).close()
        self.commit([make_referrer_entry(referrer, image)], lambda now: seen is None or _led_to(tag, now) == {*seen})
        return referrer

    def commit(self, entries: Entries, may_change: Callable[[Entries], bool] = lambda _: True) -> None:
        """List artefacts whose blobs are here, once these are on the disk; unless the list says that this may not be.

        Raises: BlobNotFoundError where one belongs to nothing that is listed; StoreFullError, StoreAccessError.
        """
        self._blobs.sync()
        with locks.shared(self._layout.gc_lock):
            index.change_entries(
                self._layout,
                self._session,
                lambda before: with_referrers(before, entries, self._blobs) if may_change(before) else before,
            )


def _led_to(tag: str, entries: Entries) -> set[Digest]:
    """Return what one of cosign's tags leads to."""
    return {one.digest for one in map(referrer_of, entries) if one is not None and one.tag == tag}


def with_referrers(before: Entries, added: Entries, blobs: Blobs) -> Entries:
    """Put artefacts into the list, of which each belongs to something in it.

    Raises: BlobNotFoundError.
    """
    if not added:
        return before
    after = add_referrers(before, added)
    kept = {id(one) for one in without_orphans(after, blobs)}
    for one in after:
        if id(one) not in kept and one in added:
            raise BlobNotFoundError(
                f"{one['digest']} refers to {index.subject_in(one)}, which is no image of the store",
                hint="pull or load that image first",
            )
    return after


__all__ = [
    "ANNOTATION_OF",
    "StoreReferrers",
    "add_referrers",
    "documents_in",
    "find_in",
    "make_referrer_entry",
    "owner_in",
    "referrer_of",
    "with_referrers",
    "without_orphans",
]
