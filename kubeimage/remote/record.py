"""A step's record as it travels: what the step made, and every layer below it.

    {
      "version": 1,
      "key": "sha256:…",                      the step's key: all that it depends on
      "platform": "linux/amd64",
      "repository": "registry.example.com/cache",   where the record was put; "oci" for a layout
      "created": "2026-05-04T12:00:00Z",
      "steps": [                              from the first step on, this one last
        {"key": "sha256:…", "layer": null},   it made nothing
        {"key": "sha256:…", "layer": {
          "digest": "sha256:…", "size": 123, "type": "application/vnd.oci.image.layer.v1.tar+gzip",
          "diff_id": "sha256:…", "tar_size": 456}}]
    }

It is the config of an OCI artifact, under the tag ``step-`` and the key's digest in hex. The manifest holds its bytes
as well, in the config's ``data``, so that one request reads it. The layers of the manifest are a text that a person
can read, which lists the fields of the key, and the layers of all steps: so a registry keeps what the record needs.

Source: the project's design, "A fleet"; OCI image-spec 1.1, "Guidelines for Artifact Usage" and "Embedded Content".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

from kubeimage.errors import KubeimageError
from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.fields import objects, optional, required
from kubeimage.image.media_types import MANIFEST, is_layer
from kubeimage.image.oci import Descriptor
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.keytext import parse_key_fields, render_key_fields
from kubeimage.protocols.layers import StoredLayer
from kubeimage.signing import Signer, Verifier
from kubeimage.values import dataclass

ARTIFACT_TYPE = "application/vnd.kubeimage.cache.step.v1+json"
KEY_TYPE = "application/vnd.kubeimage.cache.key.v1+text"
SIGNATURE = "dev.kubeimage.cache.signature"
CREATED = "org.opencontainers.image.created"
PARENT = "dev.kubeimage.cache.parent"
LONGEST_RECORD = 1 << 20

_VERSION = 1
_SIGNED = b"kubeimage cache step\n"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


class BadRecordError(ValueError):
    """What is no record, or not the one that was asked for. Its text says why, for a person."""


@dataclass(frozen=True)
class RemoteLayer:
    """A layer and the blob that holds it. Units: ``size`` in bytes of the tar, None where nobody says."""

    diff_id: Digest
    size: int | None
    blob: Descriptor

    @property
    def stored(self) -> StoredLayer:
        """The layer as a store has it; its size is known, as each record says it."""
        assert self.size is not None
        return StoredLayer(self.diff_id, self.size)


@dataclass(frozen=True)
class RecordedStep:
    """A step's key, and what it made: None for nothing."""

    key: Digest
    layer: RemoteLayer | None


@dataclass(frozen=True)
class StepRecord:
    """What a step made, on top of which layers.

    Shape: ``steps`` are those from the first on, and this one last. ``created`` is a time, as RFC 3339 writes it.
    """

    platform: str
    repository: str
    created: str
    steps: tuple[RecordedStep, ...]

    @property
    def key(self) -> Digest:
        """The step's key."""
        return self.steps[-1].key

    @property
    def layers(self) -> tuple[RemoteLayer, ...]:
        """The layers that the steps made, lowest first."""
        return tuple(step.layer for step in self.steps if step.layer is not None)

    def to_bytes(self) -> bytes:
        """Return the record, in the one form that is signed."""
        return canonical.encode(
            {
                "version": _VERSION,
                "key": str(self.key),
                "platform": self.platform,
                "repository": self.repository,
                "created": self.created,
                "steps": [
                    {"key": str(one.key), "layer": one.layer and _layer_to_json(one.layer)} for one in self.steps
                ],
            }
        )


@dataclass(frozen=True)
class StepArtifact:
    """A record as it lies in a registry. Shape: ``data`` is the manifest; ``blobs`` are what it needs beside layers."""

    data: bytes
    blobs: tuple[tuple[Descriptor, bytes], ...]


def tag_of(key: Digest) -> str:
    """Return the tag under which the record of a key lies."""
    return f"step-{key.hex}"


def make_artifact(record: StepRecord, key: CacheKey, signer: Signer | None = None) -> StepArtifact:
    """Return the manifest of a record, and the small blobs that it names."""
    data, text = record.to_bytes(), render_key_fields(key)
    config, described = Descriptor.of(ARTIFACT_TYPE, data), Descriptor.of(KEY_TYPE, text)
    annotations = {CREATED: record.created, PARENT: str(key.parent) if key.parent is not None else ""}
    if signer is not None:
        annotations[SIGNATURE] = base64.b64encode(signer.sign(_SIGNED + data)).decode()
    blobs = {layer.blob.digest: layer.blob for layer in record.layers}
    manifest: JsonObject = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": {**config.to_json(), "data": base64.b64encode(data).decode()},
        "layers": [described.to_json(), *(blob.to_json() for blob in blobs.values())],
        "annotations": annotations,
    }
    return StepArtifact(canonical.encode(manifest), ((config, data), (described, text)))


@dataclass(frozen=True)
class FoundRecord:
    """A record, and where the fields of its key can be read. Shape: ``parent`` is the key of the step before."""

    record: StepRecord
    key_fields: Descriptor
    parent: str
    is_signed: bool


def read_artifact(data: bytes, trusted: Sequence[Verifier] = ()) -> FoundRecord:
    """Read a manifest; with keys that are ``trusted``, only what one of them has signed is a record.

    Raises: BadRecordError.
    """
    try:
        manifest = canonical.decode(data)
        config = required(manifest, "config", dict)
        text = base64.b64decode(required(config, "data", str), validate=True)
        described = Descriptor.from_json(objects(required(manifest, "layers", list), "layers")[0])
        annotations = optional(manifest, "annotations", dict) or {}
        _check_config(Descriptor.from_json(config), text)
        if trusted:
            _check_signature(text, annotations.get(SIGNATURE), trusted)
        return FoundRecord(
            _parse(canonical.decode(text)), described, str(annotations.get(PARENT, "")), SIGNATURE in annotations
        )
    except BadRecordError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, binascii.Error, KubeimageError) as error:
        raise BadRecordError(f"it is no record of a step: {error}") from error


def check_record(record: StepRecord, keys: Sequence[Digest], platform: str, repository: str) -> None:
    """Find out whether a record is the one that was asked for; ``keys`` are those of the steps, from the first on.

    Raises: BadRecordError.
    """
    if [one.key for one in record.steps] != list(keys):
        raise BadRecordError("it is the record of other steps")
    if record.platform != platform:
        raise BadRecordError(f"it is for {record.platform}, not {platform}")
    if record.repository != repository:
        raise BadRecordError(f"it was made for {record.repository}, not {repository}")


def read_key_text(data: bytes, parent: str) -> CacheKey:
    """Read the key that a record's text lists.

    Raises: BadRecordError.
    """
    try:
        fields, sources = parse_key_fields(data)
        return CacheKey(Digest.parse(parent) if parent else None, fields, sources)
    except (ValueError, KubeimageError) as error:
        raise BadRecordError(str(error)) from error


def _check_config(config: Descriptor, data: bytes) -> None:
    if config != Descriptor.of(ARTIFACT_TYPE, data):
        raise BadRecordError("its config is another than its manifest says")


def _check_signature(data: bytes, signature: object, trusted: Sequence[Verifier]) -> None:
    if not isinstance(signature, str):
        raise BadRecordError("nobody has signed it")
    found = base64.b64decode(signature, validate=True)
    if not any(key.verifies(_SIGNED + data, found) for key in trusted):
        raise BadRecordError("none of the trusted keys has signed it")


def _parse(value: JsonObject) -> StepRecord:
    if value.get("version") != _VERSION:
        raise BadRecordError("it has another version than this kubeimage reads")
    steps = tuple(
        RecordedStep(Digest.parse(required(one, "key", str)), _layer(one))
        for one in objects(required(value, "steps", list), "steps")
    )
    if not steps or str(steps[-1].key) != value.get("key"):
        raise BadRecordError("its last step is another")
    created = required(value, "created", str)
    if _TIME.fullmatch(created) is None:
        raise BadRecordError("its time is none")
    return StepRecord(required(value, "platform", str), required(value, "repository", str), created, steps)


def _layer(step: JsonObject) -> RemoteLayer | None:
    value = step["layer"]
    if value is None:
        return None
    blob = Descriptor(required(value, "type", str), Digest.parse(required(value, "digest", str)), _size(value, "size"))
    if not is_layer(blob.media_type):
        raise BadRecordError(f"{blob.media_type!r} is the type of no layer")
    return RemoteLayer(Digest.parse(required(value, "diff_id", str)), _size(value, "tar_size"), blob)


def _size(value: JsonObject, name: str) -> int:
    size = required(value, name, int)
    if size < 0:
        raise BadRecordError(f"{name} is below 0")
    return size


def _layer_to_json(layer: RemoteLayer) -> JsonObject:
    blob = layer.blob
    return {
        "digest": str(blob.digest),
        "size": blob.size,
        "type": blob.media_type,
        "diff_id": str(layer.diff_id),
        "tar_size": layer.size,
    }
