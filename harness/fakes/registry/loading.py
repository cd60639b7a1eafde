"""Putting whole images into a registry."""

from __future__ import annotations

import json
import os

from harness.fakes.registry.content import OCI_MANIFEST, Content, StoredManifest, media_type_of
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import ANNOTATION_REF_NAME, Index
from kubeimage.protocols.layers import LayerStore


def put_image(content: Content, repository: str, tag: str | None, image: Image, layers: LayerStore) -> Digest:
    """Put an image with its config and layers, whose tars are in ``layers``."""
    content.put_blob(repository, image.config, image.id)
    for layer in image.layers:
        with layers.open(layer.diff_id) as tar:
            content.put_blob(repository, tar.read(), layer.diff_id)
    return content.put_manifest(repository, tag, StoredManifest(image.manifest.to_bytes(), OCI_MANIFEST))


def put_layout(content: Content, repository: str, directory: str) -> list[Digest]:
    """Put every manifest that the index of an OCI image layout names, tagged with what it is called there."""
    with open(os.path.join(directory, "index.json"), "rb") as stream:
        index = Index.from_bytes(stream.read())
    for descriptor in index.manifests:
        name = descriptor.annotations.get(ANNOTATION_REF_NAME, "")
        tag = name.rpartition(":")[2].rpartition("/")[2] or None
        _put_manifest(content, repository, tag, directory, descriptor.digest)
    return [descriptor.digest for descriptor in index.manifests]


def _put_manifest(content: Content, repository: str, tag: str | None, directory: str, digest: Digest) -> None:
    data = _read_blob(directory, digest)
    document = json.loads(data)
    for child in document.get("manifests", ()):
        _put_manifest(content, repository, None, directory, Digest.parse(child["digest"]))
    for child in [*document.get("layers", ()), *([document["config"]] if "config" in document else ())]:
        blob = Digest.parse(child["digest"])
        content.put_blob(repository, _read_blob(directory, blob), blob)
    content.put_manifest(repository, tag, StoredManifest(data, media_type_of(data)))


def _read_blob(directory: str, digest: Digest) -> bytes:
    with open(os.path.join(directory, "blobs", "sha256", digest.hex), "rb") as stream:
        return stream.read()
