"""docker-archives: what ``docker save`` writes and ``docker load`` reads.

    manifest.json   which images there are: their names, their config, their layers
    HEX.json        a config, under its digest
    HEX.tar         a layer's tar, under its diff_id

Source: moby, image/spec/spec.md, v1.2, "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from kubeimage.archive.members import MemberFiles
from kubeimage.archive.ociarchive import Incoming, take_in_blob
from kubeimage.archive.outgoing import Outgoing
from kubeimage.errors import ArchiveError, KubeimageError, ReferenceFormatError
from kubeimage.image import canonical
from kubeimage.image.config import read_diff_ids
from kubeimage.image.digest import Digest
from kubeimage.image.fields import expect, objects, optional, required, texts
from kubeimage.image.media_types import CONFIG, LAYER, layer_type
from kubeimage.image.oci import Descriptor, Manifest
from kubeimage.image.reference import Reference
from kubeimage.layer.compression import detect
from kubeimage.protocols.transfer import Intake, WireManifest

MANIFEST = "manifest.json"


def list_members(image: WireManifest, reference: Reference | None) -> list[Outgoing]:
    """Return the members of an archive that holds the image of one manifest, whose layers are not compressed."""
    manifest = Manifest.from_bytes(image.data)
    listed = {
        "Config": f"{manifest.config.digest.hex}.json",
        "RepoTags": [str(reference)] if reference is not None else None,
        "Layers": [_layer_name(layer) for layer in manifest.layers],
    }
    names = {blob.digest: _layer_name(blob) for blob in image.blobs}
    names[manifest.config.digest] = f"{manifest.config.digest.hex}.json"
    return [
        Outgoing(MANIFEST, json.dumps([listed], separators=(",", ":")).encode()),
        *(Outgoing(names[blob.digest], blob) for blob in image.blobs),
    ]


def _layer_name(layer: Descriptor) -> str:
    return f"{layer.digest.hex}.tar"


def take_in(members: MemberFiles, importer: Intake) -> Iterator[Incoming]:
    """Hand the blobs of every image of the archive to ``importer``, and an OCI manifest for each.

    Raises: ArchiveError; BlobCorruptError, LayerError, StoreError.
    """
    described = _listed(members)
    if not described:
        raise ArchiveError(f"the archive holds no image: its {MANIFEST} lists none")
    for config, layers, names in described:
        yield Incoming(_take_in_image(members, importer, config, layers), tuple(_parse_name(name) for name in names))


def _listed(members: MemberFiles) -> list[tuple[str, list[str], list[str]]]:
    """Return config, layers and names of each image that the archive lists."""
    try:
        value = canonical.loads(members.read(MANIFEST))
        if isinstance(value, dict) and "schemaVersion" in value:
            raise ArchiveError(
                "this is no archive of images, but an image in skopeo's dir: form",
                hint="copy it with skopeo copy dir:… oci-archive:FILE",
            )
        images = objects(expect(value, list, "it"), "the list")
        return [
            (
                required(one, "Config", str),
                texts(required(one, "Layers", list), "Layers"),
                texts(optional(one, "RepoTags", list), "RepoTags"),
            )
            for one in images
        ]
    except ValueError as error:
        raise ArchiveError(f"the archive's {MANIFEST} cannot be understood: {error}") from error


def _take_in_image(members: MemberFiles, importer: Intake, config_name: str, layers: list[str]) -> bytes:
    config = members.read(config_name)
    try:
        diff_ids = read_diff_ids(canonical.decode(config))
    except (ValueError, KubeimageError) as error:
        raise ArchiveError(f"{config_name!r} in the archive is no image config: {error}") from error
    if diff_ids is None or len(diff_ids) != len(layers):
        raise ArchiveError(f"the config {config_name!r} does not name the {len(layers)} layers of {MANIFEST}")
    described = [_describe(members, name, diff_id) for name, diff_id in zip(layers, diff_ids, strict=True)]
    for blob, name in zip(described, layers, strict=True):
        take_in_blob(members, importer, blob, name)
    about = Descriptor.of(CONFIG, config)
    importer.put_blob(about, [config])
    data = Manifest(about, tuple(described)).to_bytes()
    importer.put_manifest(data)
    return data


def _describe(members: MemberFiles, name: str, diff_id: Digest) -> Descriptor:
    """Describe a layer: docker writes tars, others may compress them."""
    if name not in members and diff_id in members.left_out:
        return Descriptor(LAYER, diff_id, members.left_out[diff_id].size)
    size = members.size(name)
    kind = detect(next(members.chunks(name), b""))
    if kind == "none":
        return Descriptor(LAYER, diff_id, size)
    digest = hashlib.sha256()
    for piece in members.chunks(name):
        digest.update(piece)
    return Descriptor(layer_type(kind), Digest(digest.hexdigest()), size)


def _parse_name(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except ReferenceFormatError as error:
        raise ArchiveError(f"the archive calls an image {text!r}: {error.message}") from error
