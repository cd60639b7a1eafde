"""What kinds of blobs there are: OCI's names, Docker's for the same things, and what a layer is compressed with.

Source: OCI image-spec v1.1, media-types.md; distribution's manifest-v2-2.md for Docker's.
"""

from __future__ import annotations

from typing import Literal

Compression = Literal["none", "gzip", "zstd"]
Format = Literal["oci", "docker", "sealer"]
"""Whose words an image travels in: OCI's; Docker's schema 2; the same, with what sealer v0.8 needs in the config."""

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

MANIFESTS = frozenset({MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({INDEX, DOCKER_LIST})
CONFIGS = frozenset({CONFIG, DOCKER_CONFIG})
SCHEMA_1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
"""Docker's manifests before 2016, whose layers have no diff_ids."""

_SUFFIXES: dict[str, Compression] = {"": "none", "+gzip": "gzip", ".gzip": "gzip", "+zstd": "zstd", ".zstd": "zstd"}
_LAYERS = (
    LAYER,
    DOCKER_LAYER,
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)
_COMPRESSIONS = {layer + suffix: compression for layer in _LAYERS for suffix, compression in _SUFFIXES.items()}


def is_layer(media_type: str) -> bool:
    """Whether a blob of this type is a layer."""
    return media_type in _COMPRESSIONS


def compression_of(media_type: str) -> Compression:
    """Say what a layer of this type is compressed with.

    Raises: KeyError where it is no layer.
    """
    return _COMPRESSIONS[media_type]


def layer_type(compression: Compression, form: Format = "oci") -> str:
    """Return the media type of a layer that is compressed so."""
    if form == "oci":
        return LAYER if compression == "none" else f"{LAYER}+{compression}"
    return DOCKER_LAYER if compression == "none" else f"{DOCKER_LAYER}.{compression}"


def format_of(media_type: str) -> Format:
    """Say whose name the type of a manifest or index is."""
    return "docker" if media_type in (DOCKER_MANIFEST, DOCKER_LIST) else "oci"
