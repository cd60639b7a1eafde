"""Descriptor, manifest and index, with image-spec's fields in snake_case; Docker's have the same fields.

Source: OCI image-spec v1.1, descriptor.md, manifest.md, image-index.md; distribution's manifest-v2-2.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from kubeimage.image import canonical, media_types
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.fields import objects, optional, required, strings
from kubeimage.image.media_types import INDEXES, MANIFESTS, SCHEMA_1
from kubeimage.image.platform import Platform
from kubeimage.values import dataclass

MEDIA_TYPE_MANIFEST = media_types.MANIFEST
MEDIA_TYPE_INDEX = media_types.INDEX
MEDIA_TYPE_CONFIG = media_types.CONFIG
MEDIA_TYPE_LAYER = media_types.LAYER

LARGEST_DOCUMENT = 8 << 20
"""Bytes of a manifest, an index or a config: more is refused before it is read."""

ANNOTATION_BASE_NAME = "org.opencontainers.image.base.name"
ANNOTATION_BASE_DIGEST = "org.opencontainers.image.base.digest"
ANNOTATION_REF_NAME = "org.opencontainers.image.ref.name"
# containerd's word for the whole name; `ref.name` holds the short one that people type.
ANNOTATION_FULL_NAME = "io.containerd.image.name"


@dataclass(frozen=True)
class Descriptor:
    """What a blob is, and how to find and check it.

    Units: ``size`` in bytes of the blob; ``digest`` of its bytes.
    """

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None

    @classmethod
    def of(cls, media_type: str, data: bytes) -> Self:
        """Describe ``data``."""
        return cls(media_type, Digest.of(data), len(data))

    def to_json(self) -> JsonObject:
        """Return image-spec's object."""
        value: JsonObject = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        if self.platform is not None:
            value["platform"] = platform_to_json(self.platform)
        return value

    @classmethod
    def from_json(cls, value: JsonObject) -> Self:
        """Read image-spec's object.

        Raises: ValueError or DigestFormatError where it is not one.
        """
        size = required(value, "size", int)
        if size < 0:
            raise ValueError(f"a descriptor's size is a number of bytes, found {size!r}")
        platform = optional(value, "platform", dict)
        return cls(
            media_type=required(value, "mediaType", str),
            digest=Digest.parse(required(value, "digest", str)),
            size=size,
            annotations=strings(optional(value, "annotations", dict)),
            platform=platform_from_json(platform) if platform else None,
        )


class Manifest(NamedTuple):
    """One image for one platform: its config and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = MappingProxyType({})
    media_type: str = MEDIA_TYPE_MANIFEST

    def to_bytes(self) -> bytes:
        """Return the blob."""
        value: JsonObject = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return canonical.encode(value)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the blob.

        Raises: ValueError or DigestFormatError where it is no manifest.
        """
        return cls._from_json(canonical.decode(data))

    @classmethod
    def _from_json(cls, value: JsonObject) -> Self:
        return cls(
            config=Descriptor.from_json(required(value, "config", dict)),
            layers=_descriptors(required(value, "layers", list), "layers"),
            annotations=strings(optional(value, "annotations", dict)),
            media_type=optional(value, "mediaType", str) or MEDIA_TYPE_MANIFEST,
        )


class Index(NamedTuple):
    """A list of manifests: the images of a layout, or one image's platforms."""

    manifests: tuple[Descriptor, ...] = ()
    media_type: str = MEDIA_TYPE_INDEX

    def to_bytes(self) -> bytes:
        """Return the blob, or the file ``index.json`` of a layout."""
        return canonical.encode(
            {
                "schemaVersion": 2,
                "mediaType": self.media_type,
                "manifests": [manifest.to_json() for manifest in self.manifests],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the blob.

        Raises: ValueError or DigestFormatError where it is no index.
        """
        return cls._from_json(canonical.decode(data))

    @classmethod
    def _from_json(cls, value: JsonObject) -> Self:
        if "manifests" not in value:
            raise ValueError("'manifests' is missing")
        # Go writes an empty list as null.
        manifests = _descriptors(optional(value, "manifests", list), "manifests")
        return cls(manifests, optional(value, "mediaType", str) or MEDIA_TYPE_INDEX)


def _descriptors(values: list[Any], what: str) -> tuple[Descriptor, ...]:
    return tuple(Descriptor.from_json(one) for one in objects(values, what))


_DEEPEST = 4
"""Indexes in one another; BuildKit and nerdctl make two."""

ReadInner = Callable[[Descriptor], Index | None]
"""Reads an index inside an index, None where it is not there."""


def leaves(index: Index, read_inner: ReadInner) -> list[Descriptor]:
    """Return what an index lists, each once, with what the indexes inside it list in their place.

    Shape:  what comes of an index for one platform is for that platform, where it does not say so itself.
            An index that is not there stays in the list.
    Raises: ValueError where indexes are nested too deep; whatever ``read_inner`` raises.
    """
    found: dict[Digest, Descriptor] = {}
    opened: set[Digest] = set()
    todo = [(one, 1) for one in reversed(index.manifests)]
    while todo:
        one, depth = todo.pop()
        inner = read_inner(one) if one.media_type in INDEXES and one.digest not in opened else None
        if inner is None:
            if one.digest not in opened:
                found.setdefault(one.digest, one)
            continue
        if depth == _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} indexes stand in one another")
        opened.add(one.digest)
        todo += [(_for_platform(each, one.platform), depth + 1) for each in reversed(inner.manifests)]
    return list(found.values())


def _for_platform(listed: Descriptor, platform: Platform | None) -> Descriptor:
    return listed if listed.platform is not None else replace(listed, platform=platform)


def parse_document(data: bytes) -> Manifest | Index:
    """Read a blob that is a manifest or an index, OCI's or Docker's; both have the type that they say, or OCI's.

    Raises: ValueError or DigestFormatError where it is neither, or could be taken for both.
    """
    value = canonical.decode(data)
    media_type = value.get("mediaType")
    if str(media_type) in SCHEMA_1 or value.get("schemaVersion") == 1:
        raise ValueError("it has Docker's old form, schema 1: push it again with a tool of today")
    if value.get("schemaVersion") != 2:
        raise ValueError(f"its schemaVersion is {value.get('schemaVersion')!r}, not 2")
    is_index, is_manifest = "manifests" in value, "layers" in value or "config" in value
    # Source: OCI's advisory on CVE-2021-41190: what is both means different things to different readers.
    if is_index == is_manifest:
        raise ValueError("it has both layers and manifests" if is_index else "it has neither layers nor manifests")
    if media_type not in (None, *(INDEXES if is_index else MANIFESTS)):
        raise ValueError(f"its mediaType {media_type!r} is not that of {'an index' if is_index else 'a manifest'}")
    return Index._from_json(value) if is_index else Manifest._from_json(value)  # noqa: SLF001  same module


def platform_to_json(platform: Platform) -> JsonObject:
    """Return image-spec's platform object; an absent variant is left out."""
    value = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        value["variant"] = platform.variant
    return value


def platform_from_json(value: JsonObject) -> Platform:
    """Read image-spec's platform object, or a config that holds its fields.

    Raises: ValueError where it is neither.
    """
    return Platform(required(value, "os", str), required(value, "architecture", str), optional(value, "variant", str))
