"""``index.json``: which image has which name. Replacing that file is the one commit point of a store.

Entries are kept as the JSON they are, so that what other tools wrote into them survives our changes.

Source: OCI image-spec v1.1, image-index.md, and annotations.md for ``org.opencontainers.image.ref.name``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import TypeVar

from kubeimage.errors import BlobNotFoundError, KubeimageError, ReferenceFormatError, StoreError
from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEXES, MANIFESTS
from kubeimage.image.naming import name_annotations, named_in
from kubeimage.image.oci import (
    ANNOTATION_FULL_NAME,
    ANNOTATION_REF_NAME,
    MEDIA_TYPE_INDEX,
    Descriptor,
    platform_to_json,
)
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.store import locks
from kubeimage.store.files import replace_file, write_new_file
from kubeimage.store.layout import Layout, read_if_there
from kubeimage.store.session import Session

ANNOTATION_IMAGE_ID = "io.kubeimage.image.id"
"""The config's digest, so that a list of all images opens no manifest."""

ANNOTATION_MANIFESTS = "io.kubeimage.index.manifests"
"""Which manifests of an index came with it: whoever needs one platform need not keep the others."""

ANNOTATION_SUBJECT = "io.kubeimage.referrer.subject"
"""What an artefact refers to; an entry that has it is no image's."""

_MEDIA_TYPES = MANIFESTS | INDEXES

# Annotations are sorted, and so are the fields of an entry.
_NAMED = rf'"{re.escape(ANNOTATION_REF_NAME)}":"([^"\\]+)"}},"digest":"(sha256:[0-9a-f]{{64}})"'

_TYPED = r'"artifactType":"[^"]*","digest":"(sha256:[0-9a-f]{64})"'
_TAGGED = rf'"{re.escape(ANNOTATION_REF_NAME)}":"(sha256-[^"\\]+)"}},{_TYPED}'

Entries = list[JsonObject]
_T = TypeVar("_T")


def read_entries(layout: Layout) -> Entries:
    """Return the entries of all images; none where there is no store.

    Raises: StoreError for a damaged index; StoreAccessError.
    """
    data = read_if_there(layout.index)
    if data is None:
        if layout.is_complete():
            raise _damaged(layout, "it is missing")
        return []
    return parse_entries(layout, data)


def look(layout: Layout, find: Callable[[Entries], _T]) -> _T:
    """Find what entries lead to, and look again where blobs are gone because somebody has changed the list since.

    Raises: what ``find`` raises; StoreError, StoreAccessError.
    """
    before: tuple[Entries, str] | None = None
    while True:
        entries = read_entries(layout)
        try:
            return find(entries)
        except BlobNotFoundError as error:
            if before == (entries, error.message):
                raise
            before = entries, error.message


def parse_entries(layout: Layout, data: bytes) -> Entries:
    """Return the entries in ``data``.

    Raises: StoreError for a damaged index.
    """
    try:
        entries = _decode(data)
    except ValueError as error:
        raise _damaged(layout, str(error)) from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _damaged(layout, "its 'manifests' is not a list of descriptors")
    return list(entries)


@lru_cache(maxsize=1)
def _decode(data: bytes) -> object:
    """Return what the list holds. One command reads it several times, and ten thousand images take a while to parse."""
    return canonical.decode(data).get("manifests")


def salvage_names(data: bytes) -> dict[str, list[Reference]]:
    """Find in a damaged index, as text of the form that we write, which names each manifest's digest had."""
    names: dict[str, list[Reference]] = {}
    for name, digest in re.findall(_NAMED, data.decode("utf-8", "replace")):
        with suppress(ReferenceFormatError):
            names.setdefault(digest, []).append(Reference.parse(name))
    return names


def salvage_tags(data: bytes) -> dict[str, str]:
    """Find in a damaged index which of cosign's tags led to each manifest's digest."""
    return {digest: tag for tag, digest in re.findall(_TAGGED, data.decode("utf-8", "replace"))}


def change_entries(layout: Layout, session: Session, change: Callable[[Entries], Entries]) -> None:
    """Replace the entries by what ``change`` makes of them; where that is the same, write nothing.

    Raises: StoreError, StoreFullError, StoreAccessError; whatever ``change`` raises.
    """
    written = session.new_path()
    with locks.exclusive(layout.index_lock):
        before = read_entries(layout)
        after = change(before)
        if after != before:
            write_new_file(written, encode_entries(after), durable=layout.durable)
            replace_file(written, layout.index, durable=layout.durable)


def encode_entries(entries: Entries) -> bytes:
    """Return the content of ``index.json``."""
    return canonical.encode({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": entries})


def make_entry(image: Image, manifest: Descriptor, reference: Reference | None) -> JsonObject:
    """Make the entry that says that ``reference`` names ``image``."""
    return make_entry_of(manifest, image.platform, image.id, reference)


def make_entry_of(
    manifest: Descriptor, platform: Platform, image_id: Digest, reference: Reference | None
) -> JsonObject:
    """Make the entry that says that ``reference`` names the image of a manifest."""
    annotations = {ANNOTATION_IMAGE_ID: str(image_id)}
    if reference is not None:
        annotations |= name_annotations(reference)
    return {**manifest.to_json(), "annotations": annotations, "platform": platform_to_json(platform)}


def make_index_entry(top: Descriptor, taken: Iterable[Digest], reference: Reference | None) -> JsonObject:
    """Make the entry that says that ``reference`` names the index ``top``, of which ``taken`` are there."""
    annotations = {ANNOTATION_MANIFESTS: " ".join(map(str, taken))}
    if reference is not None:
        annotations |= name_annotations(reference)
    return {**top.to_json(), "annotations": annotations}


def without_manifests(entry: JsonObject, there: Iterable[Descriptor], gone: Iterable[Descriptor]) -> JsonObject:
    """Make the same entry for an index that lacks some of its manifests; the index itself stays as it is."""
    left = taken_of(entry) or {one.digest for one in there}
    kept = sorted(left - {one.digest for one in gone})
    annotations = {**_annotations(entry), ANNOTATION_MANIFESTS: " ".join(map(str, kept))}
    return {**entry, "annotations": annotations}


def has_manifests(entry: JsonObject) -> bool:
    """Whether this is an entry of ours for an index."""
    return bool(_annotation(entry, ANNOTATION_MANIFESTS))


def taken_of(entry: JsonObject) -> frozenset[Digest] | None:
    """Return the manifests of an index that are there; None where all of them should be."""
    written = _annotation(entry, ANNOTATION_MANIFESTS)
    try:
        return frozenset(map(Digest.parse, written.split())) if written else None
    except KubeimageError:
        return None


def rename_entry(entry: JsonObject, reference: Reference) -> JsonObject:
    """Make the same entry with another name."""
    return {**entry, "annotations": {**_annotations(entry), **name_annotations(reference)}}


def subject_in(entry: JsonObject) -> str:
    """Return the subject of an artefact, as it is written; nothing for an image."""
    return _annotation(entry, ANNOTATION_SUBJECT)


def is_referrer(entry: JsonObject) -> bool:
    """Whether this is an entry of ours for an artefact that refers to an image."""
    return bool(_annotation(entry, ANNOTATION_SUBJECT))


def image_of(entry: JsonObject) -> Descriptor | None:
    """Return the manifest or image index that the entry points at, None where it is something else."""
    descriptor = descriptor_of(entry) if not is_referrer(entry) else None
    return descriptor if descriptor is not None and descriptor.media_type in _MEDIA_TYPES else None


def descriptor_of(entry: JsonObject) -> Descriptor | None:
    """Return what the entry points at, whatever that is; None for what is no descriptor."""
    try:
        return Descriptor.from_json(entry)
    except (KeyError, TypeError, ValueError, AttributeError, KubeimageError):
        return None


def image_id_of(entry: JsonObject) -> Digest | None:
    """Return the image id that is written in the entry."""
    try:
        return Digest.parse(_annotation(entry, ANNOTATION_IMAGE_ID))
    except KubeimageError:
        return None


def digests_in(entry: JsonObject) -> tuple[str, str]:
    """Return what the entry itself names, as it is written: its manifest or index, and the image id."""
    return str(entry.get("digest")), _annotation(entry, ANNOTATION_IMAGE_ID)


def is_one_image(entry: JsonObject) -> bool:
    """Whether this is an entry of ours for one image: it says which config that has."""
    is_named = bool(_annotation(entry, ANNOTATION_IMAGE_ID)) and not has_manifests(entry)
    return is_named and str(entry.get("mediaType")) in MANIFESTS


def is_dangling(entry: JsonObject) -> bool:
    """Whether this is an image of ours that has no name."""
    return is_ours(entry) and not _given_names(entry)


def is_ours(entry: JsonObject) -> bool:
    """Whether kubeimage made this entry, and no other tool."""
    return bool(_annotation(entry, ANNOTATION_IMAGE_ID) or _annotation(entry, ANNOTATION_MANIFESTS))


def problem_of(entry: JsonObject) -> str | None:
    """Say what in an entry of ours is not as we write it, whatever it points at."""
    if not is_ours(entry):
        return None
    if image_of(entry) is None:
        return f"its entry gives the media type {entry.get('mediaType')!r}, which is no image's"
    has_image = not has_manifests(entry)
    if has_image and image_id_of(entry) is None:
        return f"its entry gives the image id {_annotation(entry, ANNOTATION_IMAGE_ID)!r}, which is none"
    if has_image and "platform" not in entry:
        return "its entry gives no platform"
    return "its entry has lost one of the two forms of its name" if len(_given_names(entry)) == 1 else None


def _given_names(entry: JsonObject) -> list[str]:
    names = (_annotation(entry, ANNOTATION_REF_NAME), _annotation(entry, ANNOTATION_FULL_NAME))
    return [name for name in names if name]


def reference_of(entry: JsonObject) -> Reference | None:
    """Return the name in the entry, None where there is none that can be understood, or that is no image's."""
    if is_referrer(entry):
        return None
    return named_in({name: _annotation(entry, name) for name in (ANNOTATION_REF_NAME, ANNOTATION_FULL_NAME)})


def disagreeing_name(entry: JsonObject) -> str | None:
    """Return the full name in the entry, where it is not the name that counts."""
    full = _annotation(entry, ANNOTATION_FULL_NAME)
    reference = reference_of(entry)
    return full if full and reference is not None and str(reference) != full else None


def find_entries(entries: Iterable[JsonObject], reference: Reference) -> Entries:
    """Return the entries that ``reference`` means: by name, or by the manifest's digest where it has one."""
    if reference.digest is None:
        return [entry for entry in entries if is_named(entry, reference)]
    pinned = [entry for entry in entries if entry.get("digest") == str(reference.digest)]
    return [entry for entry in pinned if _is_same_repository(reference_of(entry), reference)]


def is_named(entry: JsonObject, reference: Reference) -> bool:
    """Whether the entry has that name."""
    # Parsing the names of a thousand entries takes longer than reading them; few need it.
    given = _annotation(entry, ANNOTATION_REF_NAME), _annotation(entry, ANNOTATION_FULL_NAME)
    return any(_may_mean(name, reference) for name in given) and reference_of(entry) == reference


def _may_mean(name: str, reference: Reference) -> bool:
    """Whether the last part of a name fits; where no tag is written, "latest" is meant."""
    if reference.digest is not None:
        return str(reference.digest) in name
    last = reference.repository.rpartition("/")[2]
    return name.endswith((f"{last}:{reference.tag}", last) if reference.tag == "latest" else f"{last}:{reference.tag}")


def _is_same_repository(found: Reference | None, wanted: Reference) -> bool:
    if found is None or (found.domain, found.repository) != (wanted.domain, wanted.repository):
        return False
    return not wanted.tag or found.tag == wanted.tag


def _annotation(entry: JsonObject, name: str) -> str:
    value = _annotations(entry).get(name)
    return value if isinstance(value, str) else ""


def _annotations(entry: JsonObject) -> JsonObject:
    annotations = entry.get("annotations")
    return annotations if isinstance(annotations, dict) else {}


def _damaged(layout: Layout, why: str) -> StoreError:
    return StoreError(
        f"the list of images {layout.index} is damaged: {why}",
        hint="kubeimage fsck --repair puts it aside and lists the images that are there again",
    )
