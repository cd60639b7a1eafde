"""One image as a registry that can only be read.

Source: OCI distribution-spec v1.1, "Pulling manifests", "Pulling blobs", "Listing Tags", "Listing Referrers".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubeimage.errors import KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import MEDIA_TYPE_INDEX, Descriptor
from kubeimage.protocols.transfer import OpenBlob, WireImage
from kubeimage.rehearsal.registry import Answer, document_answer, error_answer

_ADDRESS = re.compile(r"/v2/(?P<name>.+)/(?P<what>manifests|blobs)/(?P<which>[^/]+)")
_REFERRERS = re.compile(r"/v2/(?P<name>.+)/referrers/(?P<digest>[^/]+)")
_TAGS = re.compile(r"/v2/(?P<name>.+)/tags/list")
_PIECE = 1 << 20


class ImageRegistry:
    """Answers requests for one image, under one repository and tag; any number of threads may ask."""

    def __init__(self, image: WireImage, open_blob: OpenBlob, repository: str, tag: str) -> None:
        self._documents = {one.descriptor.digest: (one.descriptor.media_type, one.data) for one in image.documents}
        self._documents[image.top.digest] = (image.top.media_type, image.data)
        self._blobs = {blob.digest: blob for blob in image.blobs}
        self._referrers = image.referrers
        for one in image.referrers:
            documents = ((one.referrer.manifest, one.data), *one.inner)
            self._documents |= {listed.digest: (listed.media_type, data) for listed, data in documents}
            self._blobs |= {blob.digest: blob for blob in one.blobs}
        found = [one.referrer for one in image.referrers if one.referrer.tag]
        self._tags = {one.tag: one.digest for one in found} | {tag: image.top.digest}
        self._open_blob = open_blob
        self.repository = repository
        self.tag = tag

    def answer(self, path: str) -> Answer:
        """Return what a GET of ``path`` gets."""
        path = path.partition("?")[0]
        if path in ("/v2", "/v2/"):
            return document_answer(200, {})
        if path == "/v2/_catalog":
            return document_answer(200, {"repositories": [self.repository]})
        if (listed := _TAGS.fullmatch(path)) and listed["name"] == self.repository:
            return document_answer(200, {"name": self.repository, "tags": sorted(self._tags)})
        if (asked := _REFERRERS.fullmatch(path)) and asked["name"] == self.repository:
            return self._list_referrers(asked["digest"])
        found = _ADDRESS.fullmatch(path)
        if found is None or found["name"] != self.repository:
            return error_answer("NAME_UNKNOWN", f"this registry has {self.repository}:{self.tag} alone")
        try:
            digest = self._tags.get(found["which"]) or Digest.parse(found["which"])
        except KubeimageError:
            return error_answer("MANIFEST_UNKNOWN", f"this registry has the tag {self.tag} alone")
        return self._manifest(digest) if found["what"] == "manifests" else self._blob(digest)

    def _list_referrers(self, subject: str) -> Answer:
        """Answer with all of them: whoever asks for some chooses among these."""
        found = [one.referrer for one in self._referrers if str(one.referrer.subject) == subject]
        listed = [{**one.manifest.to_json(), "artifactType": one.artifact_type} for one in found if not one.tag]
        answer = document_answer(200, {"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": listed})
        return answer._replace(headers={"Content-Type": MEDIA_TYPE_INDEX})

    def _manifest(self, digest: Digest) -> Answer:
        if digest not in self._documents:
            return error_answer("MANIFEST_UNKNOWN", f"the manifest {digest} is not there")
        media_type, data = self._documents[digest]
        return Answer(200, {"Content-Type": media_type, "Docker-Content-Digest": str(digest)}, len(data), [data])

    def _blob(self, digest: Digest) -> Answer:
        blob = self._blobs.get(digest)
        if blob is None:
            return error_answer("BLOB_UNKNOWN", f"the blob {digest} is not there")
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": str(digest)}
        return Answer(200, headers, blob.size, self._pieces(blob))

    def _pieces(self, blob: Descriptor) -> Iterator[bytes]:
        with self._open_blob(blob) as stream:
            while piece := stream.read(_PIECE):
                yield piece
