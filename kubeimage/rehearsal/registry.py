"""What distribution, the stock registry, answers with the packed folder as its storage.

It looks up links by repository: without its link, a repository does not serve a blob that is there.

Sources: OCI distribution-spec v1.1, "Pulling manifests", "Pulling blobs"; distribution, registry/storage.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from kubeimage.errors import KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import LARGEST_DOCUMENT, MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST
from kubeimage.image.reference import Reference
from kubeimage.packing.layout import blob_path, layer_path, revision_path, tag_path

_ADDRESS = re.compile(r"/v2/(?P<name>.+)/(?P<what>manifests|blobs)/(?P<which>[^/]+)")
_LARGEST_LINK = 256
_BINARY = "application/octet-stream"


class Files(Protocol):
    """The files of the packed folder."""

    def size(self, path: str) -> int | None:
        """Return how many bytes a file has, None where there is no such file."""
        ...

    def pieces(self, path: str) -> Iterator[bytes]:
        """Yield a file's content."""
        ...


class Answer(NamedTuple):
    """An answer to a request. Units: ``size`` in bytes of the body."""

    status: int
    headers: Mapping[str, str]
    size: int
    body: Iterable[bytes]


class Answering(Protocol):
    """What decides on the answers of a registry that can only be read."""

    def answer(self, path: str) -> Answer:
        """Return what a GET of ``path`` gets; several threads ask at once."""
        ...


class PackedRegistry:
    """Answers requests from the files of a packed registry; any number of threads may ask."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def answer(self, path: str) -> Answer:
        """Return what a GET of ``path`` gets; its query does not matter to a registry that knows no hosts."""
        path = path.partition("?")[0]
        if path in ("/v2", "/v2/"):
            return document_answer(200, {})
        found = _ADDRESS.fullmatch(path)
        if found is None:
            return error_answer("NAME_UNKNOWN", "nothing is there")
        try:
            if found["what"] == "manifests":
                return self._manifest(found["name"], found["which"])
            return self._blob(found["name"], Digest.parse(found["which"]))
        except KubeimageError as error:
            return error_answer("UNKNOWN", error.message)

    def _manifest(self, name: str, which: str) -> Answer:
        if ":" in which:
            digest: Digest | None = Digest.parse(which)
        else:
            digest = self._link(tag_path(Reference("", name, which)))
        if digest is None:
            return error_answer("MANIFEST_UNKNOWN", f"the tag {which} is not there")
        data = self._linked(revision_path(Reference("", name), digest), digest)
        if data is None:
            return error_answer("MANIFEST_UNKNOWN", f"the manifest {digest} is not there")
        body = b"".join(self._files.pieces(data)) if (self._files.size(data) or 0) <= LARGEST_DOCUMENT else b""
        headers = {"Content-Type": _media_type(body), "Docker-Content-Digest": str(digest)}
        return Answer(200, headers, len(body), [body])

    def _blob(self, name: str, digest: Digest) -> Answer:
        data = self._linked(layer_path(Reference("", name), digest), digest)
        if data is None:
            return error_answer("BLOB_UNKNOWN", f"the blob {digest} is not there")
        headers = {"Content-Type": _BINARY, "Docker-Content-Digest": str(digest)}
        return Answer(200, headers, self._files.size(data) or 0, self._files.pieces(data))

    def _linked(self, link: str, digest: Digest) -> str | None:
        """Return the path of a blob, None where its repository does not have it."""
        path = blob_path(digest)
        return path if self._link(link) == digest and self._files.size(path) is not None else None

    def _link(self, path: str) -> Digest | None:
        size = self._files.size(path)
        if size is None or size > _LARGEST_LINK:
            return None
        text = b"".join(self._files.pieces(path)).decode("ascii", "replace")
        try:
            return Digest.parse(text.strip())
        except KubeimageError:
            return None


def _media_type(document: bytes) -> str:
    """Return the type that a manifest says it has, else OCI's."""
    try:
        value = json.loads(document)
        said = value.get("mediaType")
        return said if isinstance(said, str) else MEDIA_TYPE_INDEX if "manifests" in value else MEDIA_TYPE_MANIFEST
    except (ValueError, AttributeError, RecursionError):
        return _BINARY


def error_answer(code: str, message: str) -> Answer:
    """Return the answer for what is not there, in the distribution-spec's form."""
    return document_answer(404, {"errors": [{"code": code, "message": message}]})


def document_answer(status: int, value: object) -> Answer:
    """Return an answer that is JSON."""
    data = json.dumps(value).encode()
    return Answer(status, {"Content-Type": "application/json"}, len(data), [data])
