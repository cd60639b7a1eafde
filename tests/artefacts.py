"""Artefacts that refer to images, byte for byte as ``oras`` and ``cosign`` make them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.referrers import cosign_tag

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = b"{}"
SPDX = "application/spdx+json"
NOTATION = "application/vnd.cncf.notary.signature"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"


@dataclass(frozen=True)
class Made:
    """An artefact: its manifest, its blobs, and the tag that leads to it."""

    data: bytes
    blobs: Mapping[Digest, bytes]
    subject: Digest
    tag: str | None = None

    @property
    def digest(self) -> Digest:
        return Digest.of(self.data)


def oras_artifact(
    subject: bytes, content: bytes = b'{"spdxVersion": "SPDX-2.3"}', artifact_type: str = SPDX, **more: Any
) -> Made:
    """Make what ``oras attach --artifact-type TYPE IMAGE FILE`` makes: the file poses as a layer, and is no tar."""
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": {**Descriptor.of("application/vnd.oci.empty.v1+json", EMPTY).to_json(), "data": "e30="},
        "layers": [
            {
                **Descriptor.of("application/vnd.oci.image.layer.v1.tar", content).to_json(),
                "annotations": {"org.opencontainers.image.title": "sbom.json"},
            }
        ],
        "subject": Descriptor.of(MANIFEST, subject).to_json(),
        "annotations": {"org.opencontainers.image.created": "2026-01-01T00:00:00Z"},
        **more,
    }
    data = json.dumps(value, separators=(",", ":")).encode()
    return Made(data, {Digest.of(EMPTY): EMPTY, Digest.of(content): content}, Digest.of(subject))


def cosign_artifact(
    subject: bytes, suffix: str = "sig", content: bytes = b"", media_type: str = SIMPLE_SIGNING
) -> Made:
    """Make what ``cosign sign`` (or attest, or attach sbom) leaves under its tag: it poses as an image."""
    digest = Digest.of(subject)
    payload = (
        content
        or json.dumps(
            {"critical": {"image": {"docker-manifest-digest": str(digest)}, "type": "cosign container image signature"}}
        ).encode()
    )
    config = json.dumps(
        {
            "architecture": "",
            "created": "0001-01-01T00:00:00Z",
            "history": [{"created": "0001-01-01T00:00:00Z"}],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(payload))]},
            "config": {},
        }
    ).encode()
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Descriptor.of("application/vnd.oci.image.config.v1+json", config).to_json(),
        "layers": [
            {
                **Descriptor.of(media_type, payload).to_json(),
                "annotations": {"dev.cosignproject.cosign/signature": "MEUCIQ=="},
            }
        ],
    }
    data = json.dumps(value, separators=(",", ":")).encode()
    blobs = {Digest.of(config): config, Digest.of(payload): payload}
    return Made(data, blobs, digest, cosign_tag(digest, suffix))
