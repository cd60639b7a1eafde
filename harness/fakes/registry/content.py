"""What a registry holds: for each repository its blobs, manifests and tags; and the uploads that are under way."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.fakes.registry.problems import Problem
from kubeimage.errors import DigestFormatError
from kubeimage.image.digest import Digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MEDIA_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)


@dataclass(frozen=True)
class StoredManifest:
    """A manifest or index, byte for byte."""

    data: bytes
    media_type: str

    @property
    def digest(self) -> Digest:
        """What it is kept under."""
        return Digest.of(self.data)


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
        """Give a repository, made when something is first put into it."""
        return self.repositories.setdefault(name, Repository())

    def blob(self, name: str, digest: Digest) -> bytes:
        """Give a blob."""
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
        """Give the manifest of that tag or digest."""
        repository = self.repositories.get(name, Repository())
        digest = parse_digest(reference) if ":" in reference else repository.tags.get(reference)
        if digest is None or digest not in repository.manifests:
            raise Problem("MANIFEST_UNKNOWN", {"name": name, "reference": reference})
        return repository.manifests[digest]

    def put_manifest(self, name: str, reference: str | None, manifest: StoredManifest) -> Digest:
        """Keep a manifest, and give it the tag ``reference``, or check that it is the digest."""
        digest = manifest.digest
        if reference is not None and ":" in reference and parse_digest(reference) != digest:
            raise Problem("DIGEST_INVALID")
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
            wanted = [Digest.parse(one["digest"]) for one in _children(document)]
        except (DigestFormatError, KeyError, TypeError):
            raise Problem("MANIFEST_INVALID") from None
        missing = [str(digest) for digest in wanted if digest not in blobs]
        if missing and "manifests" not in document:
            raise Problem("MANIFEST_BLOB_UNKNOWN", missing[0])

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
        """Give a repository's tags, sorted."""
        if name not in self.repositories:
            raise Problem("NAME_UNKNOWN", {"name": name})
        return sorted(self.repositories[name].tags)

    def start_upload(self, name: str) -> str:
        """Begin an upload, and give its id."""
        upload = str(uuid.uuid4())
        self.uploads[upload] = Upload(name)
        return upload

    def upload(self, name: str, upload: str) -> Upload:
        """Give an upload."""
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
        if Digest.of(data) != digest:
            raise Problem("DIGEST_INVALID", str(digest))
        self.repository(name).blobs[digest] = data


def parse_digest(text: str | None) -> Digest:
    """Read a digest that a client sent."""
    try:
        return Digest.parse(text or "")
    except DigestFormatError:
        raise Problem("DIGEST_INVALID", text) from None


def media_type_of(data: bytes) -> str:
    """Give the media type that a manifest says it has, or that of an OCI manifest."""
    try:
        return str(json.loads(data)["mediaType"])
    except (ValueError, KeyError, TypeError):
        return OCI_MANIFEST


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
    """Give the descriptors that a manifest or index holds."""
    for key in ("config", "layers", "manifests"):
        value = document.get(key, [])
        yield from value if isinstance(value, list) else [value]  # type: ignore[misc]
