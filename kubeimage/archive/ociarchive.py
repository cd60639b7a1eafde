"""OCI archives: an image layout in a tar, as skopeo, podman and containerd read and write it.

Source: OCI image-spec v1.1, image-layout.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from kubeimage.archive.artefacts import Artefacts, entry_of
from kubeimage.archive.members import MemberFiles
from kubeimage.archive.outgoing import Outgoing
from kubeimage.errors import ArchiveError, KubeimageError
from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEXES, MANIFESTS
from kubeimage.image.naming import name_annotations, named_in
from kubeimage.image.oci import (
    LARGEST_DOCUMENT,
    MEDIA_TYPE_INDEX,
    Descriptor,
    Index,
    Manifest,
    ReadInner,
    leaves,
    parse_document,
)
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ALL_REFERRERS, ReferrerChoice
from kubeimage.image.referring import FoundReferrer
from kubeimage.protocols.transfer import Intake, WireImage

LAYOUT, INDEX = "oci-layout", "index.json"

D = TypeVar("D", Manifest, Index)

PutBlob = Callable[[Descriptor, Iterator[bytes]], None]

_LAYOUT_CONTENT = b'{"imageLayoutVersion":"1.0.0"}'
_BLOBS = "blobs/sha256"
_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)


class Incoming(NamedTuple):
    """An image whose blobs have been taken in: its manifest or index, and what the archive calls it."""

    data: bytes
    references: tuple[Reference, ...]


def list_members(image: WireImage, reference: Reference | None) -> list[Outgoing]:
    """Return the members of an archive that holds an image, as one name of a layout, and what refers to it."""
    entry = Descriptor(
        image.top.media_type,
        image.top.digest,
        image.top.size,
        name_annotations(reference) if reference is not None else {},
    )
    documents = {one.descriptor.digest: one.data for one in image.documents} | {image.top.digest: image.data}
    listed, artefacts, contents = _members_of(image.referrers)
    documents |= artefacts
    blobs = {blob.digest: blob for blob in (*image.blobs, *contents)}
    return [
        Outgoing(LAYOUT, _LAYOUT_CONTENT),
        Outgoing(INDEX, _encode_index([entry.to_json(), *listed])),
        *(Outgoing(folder, None) for folder in ("blobs", _BLOBS)),
        *(Outgoing(_path(digest), data) for digest, data in documents.items()),
        *(Outgoing(_path(digest), blob) for digest, blob in blobs.items() if digest not in documents),
    ]


def _encode_index(entries: list[JsonObject]) -> bytes:
    return canonical.encode({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": entries})


def _members_of(referrers: Sequence[FoundReferrer]) -> tuple[list[JsonObject], dict[Digest, bytes], list[Descriptor]]:
    """Return the entries of artefacts in the index, as ``oras`` writes them, their manifests, and their blobs."""
    entries: list[JsonObject] = []
    documents: dict[Digest, bytes] = {}
    for one in referrers:
        if (entry := entry_of(one)) not in entries:
            entries.append(entry)
        documents |= {one.referrer.digest: one.data, **{listed.digest: data for listed, data in one.inner}}
    return entries, documents, [blob for one in referrers for blob in one.blobs]


def take_in(members: MemberFiles, importer: Intake, choice: ReferrerChoice = ALL_REFERRERS) -> Iterator[Incoming]:
    """Hand the blobs of every image of the archive to ``importer``, and of what refers to it, as far as it is wanted.

    Raises: ArchiveError; BlobCorruptError, LayerError, StoreError.
    """
    if LAYOUT in members and (version := members.read_json(LAYOUT).get("imageLayoutVersion")) != "1.0.0":
        raise ArchiveError(f"the archive is an image layout of version {version!r}; this kubeimage reads 1.0.0")
    listed = _read_index(members)
    if not listed:
        raise ArchiveError("the archive holds no image: its index.json lists none")
    artefacts = Artefacts(listed, lambda one: _read_if_there(members, one), choice)
    if not artefacts.images:
        raise ArchiveError("the archive holds no image: its index.json lists only what refers to some")
    for descriptor in artefacts.images:
        if descriptor.media_type not in MANIFESTS | INDEXES:
            raise ArchiveError(
                f"the archive holds {descriptor.digest}, which is no image but {descriptor.media_type!r}"
            )
        data = _read_document(members, descriptor)
        subjects = _take_in_document(members, importer, data, descriptor)
        for found in artefacts.walk(subjects):
            _take_in_artefact(members, importer, found)
        reference = named_in(descriptor.annotations)
        yield Incoming(data, (reference,) if reference is not None else ())
    members.strays += sorted(artefacts.strays)


def lists_images(members: MemberFiles) -> bool:
    """Whether the archive is an image layout that lists an image.

    Raises: ArchiveError for a damaged one.
    """
    return INDEX in members and LAYOUT in members and bool(_read_index(members))


def _read_index(members: MemberFiles) -> Sequence[Descriptor]:
    try:
        return Index.from_bytes(members.read(INDEX)).manifests
    except ArchiveError:
        raise
    except _BAD as error:
        raise ArchiveError(f"the archive's index.json cannot be understood: {error}") from error


def _take_in_artefact(members: MemberFiles, importer: Intake, found: FoundReferrer) -> None:
    for blob in found.blobs:
        take_in_blob(members, importer, blob, _path(blob.digest), importer.put_artifact_blob)
    importer.put_referrer(found)


def _take_in_document(members: MemberFiles, importer: Intake, data: bytes, descriptor: Descriptor) -> list[Digest]:
    """Take in an image, and return its manifests and indexes."""
    document = _parse(data, descriptor)
    documents = [Digest.of(data)]
    if isinstance(document, Manifest):
        _take_in_image(members, importer, data, document)
        return documents

    def read_inner(listed: Descriptor) -> Index | None:
        found = _read_listed(members, listed, Index)
        if found is not None:
            importer.put_manifest(found[0])
            documents.append(listed.digest)
        return found[1] if found is not None else None

    for listed in _leaves(document, read_inner):
        # An archive need not hold an image for every platform that the index speaks of.
        manifest = _read_listed(members, listed, Manifest) if listed.media_type in MANIFESTS else None
        if manifest is not None:
            _take_in_image(members, importer, *manifest)
            documents.append(listed.digest)
    return documents


def _leaves(index: Index, read_inner: ReadInner) -> list[Descriptor]:
    try:
        return leaves(index, read_inner)
    except ValueError as error:
        raise ArchiveError(f"an index in the archive cannot be followed: {error}") from error


def _read_listed(members: MemberFiles, listed: Descriptor, kind: type[D]) -> tuple[bytes, D] | None:
    """Return what an index lists, where it is in the archive and of that kind."""
    if _path(listed.digest) not in members:
        return None
    data = _read_document(members, listed)
    found = _parse(data, listed)
    return (data, found) if isinstance(found, kind) else None


def _take_in_image(members: MemberFiles, importer: Intake, data: bytes, manifest: Manifest) -> None:
    for blob in (manifest.config, *manifest.layers):
        take_in_blob(members, importer, blob, _path(blob.digest))
    importer.put_manifest(data)


def take_in_blob(
    members: MemberFiles, importer: Intake, blob: Descriptor, name: str, put: PutBlob | None = None
) -> None:
    """Hand a blob to ``importer``, unless it is there; what an archive leaves out is to be there when all has come.

    Raises: ArchiveError; BlobCorruptError, LayerError, StoreError.
    """
    if importer.has_blob(blob):
        return
    if name not in members and blob.digest in members.left_out:
        members.missed.append(blob)
    else:
        (put or importer.put_blob)(blob, members.chunks(name))


def _read_if_there(members: MemberFiles, one: Descriptor) -> bytes | None:
    """Return a manifest that is in the archive, and that is small enough to be one."""
    if _path(one.digest) not in members or members.size(_path(one.digest)) > LARGEST_DOCUMENT:
        return None
    return _read_document(members, one)


def _read_document(members: MemberFiles, descriptor: Descriptor) -> bytes:
    data = members.read(_path(descriptor.digest))
    found = Digest.of(data)
    if found != descriptor.digest:
        raise ArchiveError(f"{_path(descriptor.digest)!r} in the archive is damaged: its bytes are {found}")
    return data


def _parse(data: bytes, descriptor: Descriptor) -> Manifest | Index:
    try:
        return parse_document(data)
    except _BAD as error:
        raise ArchiveError(f"{descriptor.digest} in the archive is no image manifest: {error}") from error


def _path(digest: Digest) -> str:
    return f"{_BLOBS}/{digest.hex}"
