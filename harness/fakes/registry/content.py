"""What a registry holds: for each repository its blobs, manifests and tags; and the uploads that are under way."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.fakes.registry.digests import any_digest, parse_digest
from harness.fakes.registry.problems import Problem
from kubeimage.errors import DigestFormatError
from kubeimage.image.digest import Digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MEDIA_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
# Their bytes lie elsewhere, so a registry need not have them. Source: OCI image-spec v1.0, layer.md.
_NON_DISTRIBUTABLE = (
    "application/vnd.oci.image.layer.nondistributable.",
    "application/vnd.docker.image.rootfs.foreign.",
)


@dataclass(frozen=True)
class StoredManifest:
    """A manifest or index, byte for byte.

    Shape: ``pushed_as`` is the digest that the client pushed it under, which need not be a sha256; None for a tag.
    """

    data: bytes
    media_type: str
    pushed_as: Digest | None = None

    @property
    def digest(self) -> Digest:
        """What it is kept under."""
        return self.pushed_as or Digest.of(self.data)


@dataclass
class Repository:
    """One repository."""

    blobs: dict[Digest, bytes] = field(default_factory=dict)
    manifests: dict[Digest, StoredManifest] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)


@dataclass
class Upload:
    """A blob on its way into a repository."""

    repository: str
    data: bytearray = field(default_factory=bytearray)


class Content:
    """All that a registry holds.

    Raises: Problem, as the endpoints answer it.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, Upload] = {}

    def repository(self, name: str) -> Repository:
        """Return a repository, made when something is first put into it."""
        return self.repositories.setdefault(name, Repository())

    def blob(self, name: str, digest: Digest) -> bytes:
        """Return a blob."""
        try:
            return self.repositories[name].blobs[digest]
        except KeyError:
            raise Problem("BLOB_UNKNOWN", str(digest)) from None

    def delete_blob(self, name: str, digest: Digest) -> None:
        """Remove a blob from a repository; other repositories keep it."""
        self.blob(name, digest)
        del self.repositories[name].blobs[digest]

    def mount_blob(self, name: str, digest: Digest, source: str) -> bool:
        """Take a blob over from another repository, if it is there."""
        data = self.repositories.get(source, Repository()).blobs.get(digest)
        if data is not None:
            self.repository(name).blobs[digest] = data
        return data is not None

    def manifest(self, name: str, reference: str) -> StoredManifest:
        """Return the manifest of that tag or digest."""
        repository = self.repositories.get(name, Repository())
        digest = parse_digest(reference) if ":" in reference else repository.tags.get(reference)
        if digest is None or digest not in repository.manifests:
            raise Problem("MANIFEST_UNKNOWN", {"name": name, "reference": reference})
        return repository.manifests[digest]

    def put_manifest(self, name: str, reference: str | None, manifest: StoredManifest) -> Digest:
        """Keep a manifest, and give it the tag ``reference``, or check that it is the digest.

        Returns what it is kept under.
        """
        if reference is not None and ":" in reference:
            asked = parse_digest(reference)
            if type(asked).of(manifest.data) != asked:
                raise Problem("DIGEST_INVALID")
            manifest = replace(manifest, pushed_as=asked)
        digest = manifest.digest
        repository = self.repository(name)
        repository.manifests[digest] = manifest
        if reference is not None and ":" not in reference:
            repository.tags[reference] = digest
        return digest

    def check_manifest(self, name: str, manifest: StoredManifest) -> None:
        """Check that it is a manifest of a known sort, and that the blobs are there that it names."""
        document = _document(manifest)
        blobs = self.repositories.get(name, Repository()).blobs
        try:
            wanted = [any_digest(one["digest"]) for one in _children(document) if not _lies_elsewhere(one)]
        except (DigestFormatError, KeyError, TypeError):
            raise Problem("MANIFEST_INVALID") from None
        missing = [str(digest) for digest in wanted if digest not in blobs]
        if missing and "manifests" not in document:
            raise Problem("MANIFEST_BLOB_UNKNOWN", missing[0])

    def referrers(self, name: str, subject: Digest) -> list[dict[str, Any]]:
        """Return a descriptor of each manifest whose subject has that digest; none where nothing is known of it.

        Source: OCI distribution-spec v1.1, "Listing Referrers".
        """
        manifests = self.repositories.get(name, Repository()).manifests
        return [_referrer(one) for one in manifests.values() if subject_of(one.data) == str(subject)]

    def delete_manifest(self, name: str, reference: str) -> None:
        """Remove a tag; or a manifest with all its tags."""
        digest = self.manifest(name, reference).digest
        repository = self.repositories[name]
        if ":" not in reference:
            del repository.tags[reference]
            return
        del repository.manifests[digest]
        for tag in [tag for tag, target in repository.tags.items() if target == digest]:
            del repository.tags[tag]

    def tags(self, name: str) -> list[str]:
        """Return a repository's tags, sorted."""
        if name not in self.repositories:
            raise Problem("NAME_UNKNOWN", {"name": name})
        return sorted(self.repositories[name].tags)

    def start_upload(self, name: str) -> str:
        """Begin an upload, and give its id."""
        upload = str(uuid.uuid4())
        self.uploads[upload] = Upload(name)
        return upload

    def upload(self, name: str, upload: str) -> Upload:
        """Return an upload."""
        found = self.uploads.get(upload)
        if found is None or found.repository != name:
            raise Problem("BLOB_UPLOAD_UNKNOWN", {"upload": upload})
        return found

    def finish_upload(self, name: str, upload: str, digest: Digest) -> None:
        """Make a blob of an upload; one with another digest is thrown away."""
        self.put_blob(name, bytes(self.upload(name, upload).data), digest, upload)

    def put_blob(self, name: str, data: bytes, digest: Digest, upload: str = "") -> None:
        """Keep a blob that must have this digest."""
        self.uploads.pop(upload, None)
        if type(digest).of(data) != digest:
            raise Problem("DIGEST_INVALID", str(digest))
        self.repository(name).blobs[digest] = data


def media_type_of(data: bytes) -> str:
    """Return the media type that a manifest says it has, or that of an OCI manifest."""
    try:
        return str(json.loads(data)["mediaType"])
    except (ValueError, KeyError, TypeError):
        return OCI_MANIFEST


def subject_of(data: bytes) -> str | None:
    """Return the digest of a manifest's subject, if it has one."""
    try:
        return str(json.loads(data)["subject"]["digest"])
    except (ValueError, KeyError, TypeError):
        return None


def _referrer(manifest: StoredManifest) -> dict[str, Any]:
    """Return the descriptor of a manifest as the list of referrers has it."""
    document = json.loads(manifest.data)
    artifact_type = document.get("artifactType") or document.get("config", {}).get("mediaType")
    described = {
        "mediaType": manifest.media_type,
        "digest": str(manifest.digest),
        "size": len(manifest.data),
        "artifactType": artifact_type,
        "annotations": document.get("annotations"),
    }
    return {name: value for name, value in described.items() if value is not None}


def _lies_elsewhere(descriptor: Mapping[str, str]) -> bool:
    return str(descriptor.get("mediaType", "")).startswith(_NON_DISTRIBUTABLE)


def _document(manifest: StoredManifest) -> dict[str, object]:
    try:
        document = json.loads(manifest.data)
    except ValueError:
        raise Problem("MANIFEST_INVALID", "no JSON") from None
    if not isinstance(document, dict) or manifest.media_type not in MEDIA_TYPES:
        raise Problem("MANIFEST_INVALID", f"no manifest of the type {manifest.media_type}")
    if document.get("mediaType", manifest.media_type) != manifest.media_type:
        raise Problem("MANIFEST_INVALID", "its mediaType is not its Content-Type")
    return document


def _children(document: dict[str, object]) -> Iterator[dict[str, str]]:
    """Yield the descriptors that a manifest or index holds."""
    for key in ("config", "layers", "manifests"):
        value = document.get(key, [])
        yield from value if isinstance(value, list) else [value]  # type: ignore[misc]
