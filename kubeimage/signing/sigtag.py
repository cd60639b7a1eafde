"""cosign's signatures of one image: a manifest under the tag ``sha256-HEX.sig``, with a layer for each signature.

    layer        the payload; its media type says of which form
    annotation   dev.cosignproject.cosign/signature, in base64

Another signature is one more layer. Nothing of what is there is changed by that.

Source: cosign, specs/SIGNATURE_SPEC.md, "Storage".
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, NamedTuple

from kubeimage.errors import SignatureError
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.fields import objects, optional, required
from kubeimage.image.media_types import CONFIG, MANIFEST
from kubeimage.image.oci import Descriptor, Manifest, parse_document
from kubeimage.signing.found import Found, ReadBlob
from kubeimage.signing.payload import BAD, LARGEST, MEDIA_TYPE, read_base64, read_payload, said_of

SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
MOST_SIGNATURES = 1000
"""More than so many layers of one manifest are not looked at."""


class Artifact(NamedTuple):
    """A manifest with blobs that are still to be sent. Shape: ``blobs`` are each of a descriptor and its bytes."""

    data: bytes
    blobs: tuple[tuple[Descriptor, bytes], ...]


def read_sig_manifest(data: bytes, read_blob: ReadBlob) -> list[Found]:
    """Return the signatures of a manifest; what is none says why."""
    try:
        manifest = _parse(data)
    except BAD as error:
        return [Found("cosign", problem=f"it is no manifest of signatures: {said_of(error)}")]
    return [_read(layer, read_blob) for layer in manifest.layers[:MOST_SIGNATURES]]


def add_signature(before: bytes | None, payload: bytes, signature: bytes, read_blob: ReadBlob) -> Artifact:
    """Return the manifest ``before`` with one more signature; None is for no manifest.

    Raises: SignatureError where ``before`` is none that a signature could be added to.
    """
    layer = Descriptor.of(MEDIA_TYPE, payload)
    entry = {**layer.to_json(), "annotations": {SIGNATURE: b64encode(signature).decode()}}
    try:
        manifest, config = _begin() if before is None else _open(before, read_blob)
        manifest["layers"] = [*required(manifest, "layers", list), entry]
        _add_diff_id(config, layer.digest)
    except BAD as error:
        raise SignatureError(
            f"the image has something else under the tag of its signatures: {said_of(error)}",
            hint="look at it with skopeo inspect --raw; delete that tag where nobody needs it",
        ) from error
    config_data = canonical.encode(config)
    described = Descriptor.of(CONFIG, config_data)
    manifest["config"] = {**manifest["config"], **described.to_json()}
    return Artifact(canonical.encode(manifest), ((described, config_data), (layer, payload)))


def _begin() -> tuple[dict[str, Any], dict[str, Any]]:
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG}, "layers": []}
    config = {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
    return manifest, config


def _open(before: bytes, read_blob: ReadBlob) -> tuple[dict[str, Any], dict[str, Any]]:
    parsed = _parse(before)
    manifest = canonical.decode(before)
    for layer in objects(required(manifest, "layers", list), "layers"):
        if SIGNATURE not in optional(layer, "annotations", dict):
            raise ValueError(f"a layer of the type {layer.get('mediaType')!r} is no signature")
    return manifest, canonical.decode(read_blob(parsed.config))


def _add_diff_id(config: dict[str, Any], digest: Digest) -> None:
    """List a payload in the config, as in that of any image: cosign and containers/image go by it."""
    rootfs = config.setdefault("rootfs", {"type": "layers", "diff_ids": []})
    rootfs["diff_ids"] = [*(rootfs.get("diff_ids") or []), str(digest)]
    if config.get("history"):
        config["history"] = [*config["history"], {"created": "0001-01-01T00:00:00Z"}]


def _parse(data: bytes) -> Manifest:
    document = parse_document(data)
    if not isinstance(document, Manifest):
        raise ValueError("it is an index")
    return document


def _read(layer: Descriptor, read_blob: ReadBlob) -> Found:
    certified = CERTIFICATE in layer.annotations
    text = layer.annotations.get(SIGNATURE)
    try:
        if layer.media_type != MEDIA_TYPE:
            raise ValueError(f"its payload is of the type {layer.media_type!r}")
        if text is None:
            raise ValueError(f"it has no annotation {SIGNATURE}")
        if layer.size > LARGEST:
            raise ValueError(f"its payload has {layer.size} bytes")
        payload = read_blob(layer)
        return Found("cosign", read_payload(payload), payload, read_base64(text), has_certificate=certified)
    except BAD as error:
        return Found("cosign", has_certificate=certified, problem=said_of(error))
