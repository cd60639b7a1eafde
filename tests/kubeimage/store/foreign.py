"""Images as other tools make them, in bytes."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import zstandard

from kubeimage.image.digest import Digest
from kubeimage.image.media_types import Compression, Format, layer_type
from kubeimage.image.oci import Descriptor
from kubeimage.protocols.transfer import Importer

TYPES: dict[Format, dict[str, str]] = {
    "oci": {
        "manifest": "application/vnd.oci.image.manifest.v1+json",
        "index": "application/vnd.oci.image.index.v1+json",
        "config": "application/vnd.oci.image.config.v1+json",
    },
    "docker": {
        "manifest": "application/vnd.docker.distribution.manifest.v2+json",
        "index": "application/vnd.docker.distribution.manifest.list.v2+json",
        "config": "application/vnd.docker.container.image.v1+json",
    },
}


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """Make a tar as Python does."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def pack(tar: bytes, kind: Compression) -> bytes:
    """Compress a tar."""
    if kind == "gzip":
        return gzip.compress(tar, mtime=0)
    return zstandard.ZstdCompressor().compress(tar) if kind == "zstd" else tar


@dataclass(frozen=True)
class Foreign:
    """An image for one platform: its manifest's bytes, and all blobs."""

    manifest: bytes
    config: Descriptor
    layers: tuple[Descriptor, ...]
    blobs: Mapping[Digest, bytes]
    media_type: str

    @property
    def descriptor(self) -> Descriptor:
        """The manifest's."""
        return Descriptor.of(self.media_type, self.manifest)

    def put_blobs(self, importer: Importer) -> None:
        """Bring config and layers."""
        for one in (*self.layers, self.config):
            data = self.blobs[one.digest]
            importer.put_blob(one, [data[:5], data[5:]])


def make_foreign(
    *tars: bytes,
    kind: Compression = "gzip",
    form: Format = "oci",
    architecture: str = "amd64",
    config: Mapping[str, Any] | None = None,
) -> Foreign:
    """Make an image of tars."""
    blobs: dict[Digest, bytes] = {}

    def keep(media_type: str, data: bytes) -> Descriptor:
        blobs[Digest.of(data)] = data
        return Descriptor.of(media_type, data)

    layers = tuple(keep(layer_type(kind, form), pack(tar, kind)) for tar in tars)
    value = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["A=1"]},
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(tar)) for tar in tars]},
        "history": [{"created_by": "ADD x"} for _ in tars],
    }
    config_blob = keep(TYPES[form]["config"], json.dumps({**value, **(config or {})}, indent=1).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": TYPES[form]["manifest"],
        "config": config_blob.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return Foreign(json.dumps(manifest, indent=2).encode(), config_blob, layers, blobs, TYPES[form]["manifest"])


def make_index(
    images: Sequence[tuple[str, Foreign]], form: Format = "oci", *, extra: Sequence[Mapping[str, Any]] = ()
) -> bytes:
    """Make an index of images, each with its architecture."""
    listed = [
        {**one.descriptor.to_json(), "platform": {"architecture": architecture, "os": "linux"}}
        for architecture, one in images
    ]
    value = {"schemaVersion": 2, "mediaType": TYPES[form]["index"], "manifests": [*listed, *extra]}
    return json.dumps(value, indent=2).encode()
