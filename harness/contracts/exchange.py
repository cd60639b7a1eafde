"""What a client of a registry says, by the standard library alone: no more than a test of a registry needs.

Source: OCI distribution-spec v1.1.
"""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from kubeimage.image.digest import Digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
SINGLE = {
    OCI_MANIFEST: "application/vnd.oci.image.config.v1+json",
    DOCKER_MANIFEST: "application/vnd.docker.container.image.v1+json",
}
OCTETS = {"Content-Type": "application/octet-stream"}


class Answer(NamedTuple):
    """What a registry answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def codes(self) -> list[str]:
        """The codes of the errors in the body."""
        return [error["code"] for error in json.loads(self.body)["errors"]]


@dataclass(frozen=True)
class Client:
    """Speaks to a repository that no other test uses."""

    url: str
    repository: str = field(default_factory=lambda: f"contract/{uuid.uuid4().hex}")
    headers: Mapping[str, str] = field(default_factory=dict)

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request, to a path below the repository, an absolute one, or a whole URL."""
        address = urlsplit(path if path.startswith("http") else self.url + self._absolute(path))
        target = address.path + (f"?{address.query}" if address.query else "")
        with closing(http.client.HTTPConnection(address.netloc, timeout=20)) as connection:
            connection.request(method, target, body, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            # docker-registry says that such an answer has a body, and sends none.
            content = b"" if response.status == 416 else response.read()
            return Answer(response.status, dict(_lower(response.getheaders())), content)

    def put_blob(self, data: bytes) -> Digest:
        """Push a blob as most clients do: POST, then PUT."""
        digest = Digest.of(data)
        answer = self.call("PUT", with_query(self.start(), digest=str(digest)), data, OCTETS)
        assert answer.status == 201, answer
        return digest

    def start(self) -> str:
        """Begin an upload, and give the place where it goes on."""
        answer = self.call("POST", "blobs/uploads/")
        assert answer.status == 202, answer
        return self.place(answer)

    def place(self, answer: Answer) -> str:
        """Return the URL that an answer leads to."""
        location = answer.headers["location"]
        return location if location.startswith("http") else self.url + location

    def put_manifest(self, reference: str, data: bytes, media_type: str) -> Answer:
        """Push a manifest."""
        return self.call("PUT", f"manifests/{reference}", data, {"Content-Type": media_type})

    def make_manifest(self, media_type: str, text: str = "") -> bytes:
        """Make a manifest or index, whose parts are pushed; another ``text`` makes another manifest."""
        if media_type in SINGLE:
            config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {}, "text": text}).encode()
            layer = text.encode() or b"layer"
            return manifest_of(media_type, self.put_blob(config), len(config), self.put_blob(layer), len(layer))
        child_type = OCI_MANIFEST if media_type == OCI_INDEX else DOCKER_MANIFEST
        child = self.make_manifest(child_type, text)
        assert self.put_manifest(str(Digest.of(child)), child, child_type).status == 201
        descriptor = _descriptor(child_type, Digest.of(child), len(child))
        platform = {"os": "linux", "architecture": "amd64"}
        document = {"mediaType": media_type, "manifests": [{**descriptor, "platform": platform}]}
        return json.dumps({"schemaVersion": 2, **document}).encode()

    def _absolute(self, path: str) -> str:
        return path if path.startswith("/") else f"/v2/{self.repository}/{path}"


def with_query(url: str, **arguments: str) -> str:
    """Add to the query of a URL, which may have one already."""
    query = "&".join(f"{name}={value}" for name, value in arguments.items())
    return f"{url}{'&' if urlsplit(url).query else '?'}{query}"


def manifest_of(media_type: str, config: Digest, config_size: int, layer: Digest, layer_size: int) -> bytes:
    """Make a manifest of one layer."""
    layer_type = (
        "application/vnd.oci.image.layer.v1.tar"
        if media_type == OCI_MANIFEST
        else "application/vnd.docker.image.rootfs.diff.tar"
    )
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _descriptor(SINGLE[media_type], config, config_size),
        "layers": [_descriptor(layer_type, layer, layer_size)],
    }
    return json.dumps(document).encode()


def _descriptor(media_type: str, digest: Digest, size: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest), "size": size}


def _lower(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in headers]
