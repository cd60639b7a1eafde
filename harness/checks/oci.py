"""oci-valid: what other tools read is what OCI's image-spec says, and every digest is the one of the bytes.

Source: OCI image-spec v1.1; the schemas are in harness/schemas/.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, BinaryIO

import pytest

from harness.cases.case import Case
from harness.checks.failed import CheckFailedError
from kubeimage.errors import KubeimageError
from kubeimage.image import canonical
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer
from kubeimage.protocols.layers import LayerStore

_LISTED = 10
_PIECE = 1 << 20
_INDEX, _LAYOUT = "index.json", "oci-layout"


def check_oci_valid(case: Case) -> None:
    """Check config, manifest and index against OCI's rules, and recompute every digest and size.

    Raises: CheckFailedError that lists what is wrong.
    """
    jsonschema = pytest.importorskip("jsonschema", reason="oci-valid needs jsonschema: pip install jsonschema")
    image = case.result.image
    with case.open() as backends:
        problems = [
            *schema_problems(jsonschema, "config", image.config),
            *schema_problems(jsonschema, "manifest", image.manifest.to_bytes()),
            *config_problems(image),
        ]
        if (root := case.place.root) is not None:
            problems += _layout_problems(jsonschema, root, case.result.manifest)
        else:
            problems += (problem for layer in image.layers for problem in _layer_problems(backends.layers, layer))
    if problems:
        raise CheckFailedError(
            "other tools could not read the image",
            details=[f"  {problem}" for problem in problems[:_LISTED]],
            location=case.kubefile.base.span.location,
        )


def schema_problems(jsonschema: Any, name: str, data: bytes) -> Iterator[str]:
    """Yield what OCI's schema ``name`` says against a document."""
    try:
        value = canonical.decode(data)
    except ValueError as error:
        yield f"{name}: {error}"
        return
    schemas = json.loads(files("harness").joinpath("schemas/oci.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator({**schemas, "$ref": f"#/$defs/{name}"})
    for found in sorted(validator.iter_errors(value), key=lambda one: list(map(str, one.path))):
        yield f"{name}: {'.'.join(map(str, found.path)) or 'the whole'}: {found.message}"


def config_problems(image: Image) -> Iterator[str]:
    """Yield what is wrong with a config that no schema can say.

    Source: config.md, "history": the entries that are no empty layers are the layers, in order.
    """
    if hashlib.sha256(image.config).hexdigest() != image.id.hex:
        yield f"config: its digest is not the image id {image.id}"
    diff_ids = [str(layer.diff_id) for layer in image.layers]
    rootfs = canonical.decode(image.config).get("rootfs")
    if not isinstance(rootfs, dict) or rootfs.get("diff_ids") != diff_ids:
        yield "config: rootfs.diff_ids are not the manifest's layers"
    layered = [entry for entry in image.history if not entry.empty_layer]
    if image.history and len(layered) != len(diff_ids):
        yield f"config: history speaks of {len(layered)} layers, rootfs.diff_ids of {len(diff_ids)}"


def _layer_problems(layers: LayerStore, layer: Layer) -> Iterator[str]:
    try:
        with layers.open(layer.diff_id) as tar:
            found, size = digest_of(tar)
    except KubeimageError as error:
        yield f"layer {layer.diff_id}: {error}"
        return
    if found != layer.diff_id.hex:
        yield f"layer {layer.diff_id}: its bytes have the digest sha256:{found}"
    if size != layer.size:
        yield f"layer {layer.diff_id}: it has {size} bytes, the manifest says {layer.size}"


def digest_of(stream: BinaryIO) -> tuple[str, int]:
    """Return the sha256 of a stream in hex, and its size."""
    hasher, size = hashlib.sha256(), 0
    while piece := stream.read(_PIECE):
        hasher.update(piece)
        size += len(piece)
    return hasher.hexdigest(), size


def _layout_problems(jsonschema: Any, root: str, manifest: Digest) -> Iterator[str]:
    """Read the store as other tools do: from index.json to the manifest, and from there to config and layers.

    Source: image-layout.md; descriptor.md, "Verification".
    """
    for name, schema in ((_LAYOUT, "layout"), (_INDEX, "index")):
        yield from schema_problems(jsonschema, schema, _read(root, name))
    listed = [one for one in json.loads(_read(root, _INDEX))["manifests"] if one["digest"] == str(manifest)]
    if not listed:
        yield f"{_INDEX}: it does not list the manifest {manifest}"
    for descriptor in listed:
        problems = list(_blob_problems(root, descriptor))
        yield from problems
        if not problems:
            content = json.loads(_read(root, _blob_path(descriptor["digest"])))
            for one in (content["config"], *content["layers"]):
                yield from _blob_problems(root, one)


def _blob_problems(root: str, descriptor: Mapping[str, Any]) -> Iterator[str]:
    name = _blob_path(descriptor["digest"])
    try:
        with open(os.path.join(root, name), "rb") as stream:
            found, size = digest_of(stream)
    except OSError as error:
        yield f"{name}: {error.strerror or error}"
        return
    if f"sha256:{found}" != descriptor["digest"]:
        yield f"{name}: its bytes have the digest sha256:{found}"
    if size != descriptor["size"]:
        yield f"{name}: it has {size} bytes, its descriptor says {descriptor['size']}"


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"


def _read(root: str, name: str) -> bytes:
    with open(os.path.join(root, name), "rb") as stream:
        return stream.read()
