"""A cluster image, and the one blob that is both a valid OCI image config and the sealer Image document.

The blob holds neither its own digest nor a name: one content has one image id, whatever it is called. ``present``
adds both for people who look at an image.

Source: OCI image-spec v1.1, config.md; the project's design, "The store".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.document import Arguments, Commands, History, Layer
from kubeimage.image.fields import objects, optional, required, strings, texts
from kubeimage.image.oci import MEDIA_TYPE_CONFIG, Descriptor, Manifest, platform_from_json, platform_to_json
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.runtime import EMPTY, RuntimeConfig
from kubeimage.values import dataclass

CLUSTERFILE_ANNOTATION = "sea.aliyun.com/ClusterFile"
APPLICATION: Literal["application"] = "application"
ImageType = Literal["", "application"]

# What sealer writes where nobody gave a Clusterfile; `present` fills in the image's name, which no digest may hold.
DEFAULT_CLUSTERFILE = """\
apiVersion: sealer.cloud/v2
kind: Cluster
metadata:
  name: my-cluster
spec:
  image: ""
  ssh:
    port: "22"
    user: root
status: {}
"""
NAMELESS = '  image: ""\n'


@dataclass(frozen=True)
class Image:
    """A cluster image for one platform.

    Shape: ``layers`` lowest first; ``history`` has one entry with ``empty_layer=False`` for each layer, in order.
           ``runtime`` is OCI's part of the config, which runners other than sealer v0.8 read.
           ``manifest_annotations`` stand in the manifest, and so have no part in the image id.
    Units: ``created`` is RFC 3339 text, or None.
    """

    platform: Platform
    layers: tuple[Layer, ...] = ()
    history: tuple[History, ...] = ()
    cmd: Commands = field(default_factory=Commands)
    args: Arguments = field(default_factory=Arguments)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    image_type: ImageType = ""
    created: str | None = None
    runtime: RuntimeConfig = EMPTY
    author: str = ""
    manifest_annotations: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for name in ("labels", "annotations", "manifest_annotations"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @cached_property
    def config(self) -> bytes:
        """The config blob; of an image that was read from a store, the very bytes that were read."""
        return canonical.encode(_to_json(self))

    @cached_property
    def id(self) -> Digest:
        """The image id: the digest of the config."""
        return Digest.of(self.config)

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest of this image: layers uncompressed, but for those that came compressed."""
        return Manifest(
            config=Descriptor(MEDIA_TYPE_CONFIG, self.id, len(self.config)),
            layers=tuple(layer.descriptor for layer in self.layers),
            annotations=self.manifest_annotations,
        )

    @cached_property
    def manifest_digest(self) -> Digest:
        """The digest of the manifest; of an image that was read from a store, of the one that led to it."""
        return Digest.of(self.manifest.to_bytes())

    @property
    def size(self) -> int:
        """Bytes of all layers' tars, each counted once."""
        return sum({layer.diff_id: layer.size for layer in self.layers}.values())

    @classmethod
    def from_config(
        cls,
        config: bytes,
        layers: Sequence[Layer],
        *,
        manifest: Digest | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Image:
        """Read a config blob; ``layers`` and ``annotations`` are the manifest's, and what made layers is filled in.

        Raises: ValueError or DigestFormatError where the blob is no config, or names other layers than ``layers``.
        """
        value = canonical.decode(config)
        diff_ids = read_diff_ids(value)
        if diff_ids is not None and diff_ids != [layer.diff_id for layer in layers]:
            raise ValueError("the config's rootfs.diff_ids are not the manifest's layers")
        image = replace(_from_json(value, layers), manifest_annotations=annotations or {})
        image.__dict__["config"] = config
        if manifest is not None:
            image.__dict__["manifest_digest"] = manifest
        return image

    def complete_config(self, *, for_sealer: bool) -> bytes:
        """Return the config with all that its readers look for; the very bytes where nothing is missing.

        Shape:  OCI's readers need ``rootfs``; sealer v0.8 an Image document with one ``spec.layers[].id`` a layer.
        """
        value = canonical.decode(self.config)
        own = _to_json(self)
        if "rootfs" in value and not (for_sealer and _listed_layers(value) != _listed_layers(own)):
            return self.config
        found = value.get("spec")
        spec = found if isinstance(found, dict) else {}
        added = {"rootfs": own["rootfs"], "kind": "Image", "spec": {**spec, **own["spec"]}}
        return canonical.encode({**own, **value, **added})

    def present(self, reference: Reference | None = None) -> JsonObject:
        """Return the Image document as people read it: with its id, and with the name it was asked for by."""
        # An image from elsewhere may lack all that is not OCI's.
        own, found = _to_json(self), canonical.decode(self.config)
        value = {**own, **found}
        for part in ("metadata", "spec"):
            if not isinstance(value[part], dict):
                value[part] = own[part]
        value["spec"]["id"] = self.id.hex
        if reference is not None:
            value["metadata"]["name"] = str(reference)
            annotations = value["metadata"].get("annotations")
            clusterfile = annotations.get(CLUSTERFILE_ANNOTATION) if isinstance(annotations, dict) else None
            if isinstance(clusterfile, str):
                annotations[CLUSTERFILE_ANNOTATION] = clusterfile.replace(NAMELESS, f"  image: {reference}\n", 1)
        return value


def read_diff_ids(config: JsonObject) -> list[Digest] | None:
    """Return the layers that a config names; None for sealer's, which has only an Image document's.

    Those are no digests of layers' tars: sealer makes them before it changes symlinks.
    Raises: ValueError or DigestFormatError where there are none.
    """
    if "rootfs" not in config and config.get("kind") == "Image":
        return None
    rootfs = required(config, "rootfs", dict)
    return [Digest.parse(one) for one in texts(required(rootfs, "diff_ids", list), "diff_ids")]


def _listed_layers(config: JsonObject) -> list[Any]:
    """Return the ids that an Image document has for its layers."""
    try:
        return [layer["id"] for layer in config["spec"]["layers"]]
    except (KeyError, TypeError):
        return []


def _to_json(image: Image) -> JsonObject:
    value: JsonObject = {
        **platform_to_json(image.platform),
        "config": image.runtime.to_json(image.labels),
        "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in image.layers]},
        "history": [_history_to_json(entry) for entry in image.history],
        "kind": "Image",
        "metadata": {"annotations": dict(image.annotations)},
        "spec": {
            "layers": [{"id": str(layer.diff_id), "type": layer.kind, "value": layer.value} for layer in image.layers],
            "platform": platform_to_json(image.platform),
            "image_config": {
                "cmd": {"parent": list(image.cmd.parent), "current": list(image.cmd.current)},
                "args": {"parent": dict(image.args.parent), "current": dict(image.args.current)},
                "labels": dict(image.labels),
                "image_type": image.image_type,
            },
        },
        "status": {},
    }
    if image.created is not None:
        value["created"] = image.created
    if image.author:
        value["author"] = image.author
    return value


def _history_to_json(entry: History) -> JsonObject:
    value: JsonObject = {"created_by": entry.created_by}
    if entry.comment:
        value["comment"] = entry.comment
    if entry.empty_layer:
        value["empty_layer"] = True
    return value


def _from_json(value: JsonObject, layers: Sequence[Layer]) -> Image:
    spec = optional(value, "spec", dict)
    image_config = optional(spec, "image_config", dict)
    records = objects(optional(spec, "layers", list), "layers")
    if len(records) != len(layers):
        records = [{}] * len(layers)
    return Image(
        platform=platform_from_json(value),
        layers=tuple(
            replace(layer, kind=str(record.get("type", "")), value=str(record.get("value", "")))
            for layer, record in zip(layers, records, strict=True)
        ),
        history=tuple(
            History(str(entry.get("created_by", "")), bool(entry.get("empty_layer")), str(entry.get("comment", "")))
            for entry in objects(optional(value, "history", list), "history")
        ),
        cmd=_commands(optional(image_config, "cmd", dict)),
        args=_arguments(optional(image_config, "args", dict)),
        labels=_labels(value, image_config),
        annotations=strings(optional(optional(value, "metadata", dict), "annotations", dict)),
        image_type=APPLICATION if image_config.get("image_type") == APPLICATION else "",
        created=optional(value, "created", str) or None,
        runtime=RuntimeConfig.from_json(value.get("config")),
        author=str(value.get("author") or ""),
    )


def _labels(value: JsonObject, image_config: JsonObject) -> dict[str, str]:
    own = optional(image_config, "labels", dict)
    return strings(own or optional(optional(value, "config", dict), "Labels", dict))


def _commands(value: JsonObject) -> Commands:
    return Commands(_texts(value, "parent"), _texts(value, "current"))


def _arguments(value: JsonObject) -> Arguments:
    return Arguments(strings(optional(value, "parent", dict)), strings(optional(value, "current", dict)))


def _texts(value: JsonObject, key: str) -> tuple[str, ...]:
    return tuple(str(item) for item in optional(value, key, list))
