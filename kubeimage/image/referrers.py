"""What refers to an image: signatures, SBOMs, attestations, by the manifest's ``subject`` or by cosign's tags.

Source: OCI image-spec v1.1, manifest.md, for ``subject`` and ``artifactType``; distribution-spec v1.1, "Referrers Tag
Schema"; cosign's SIGNATURE_SPEC.md and SBOM_SPEC.md for its tags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, Self

from kubeimage.errors import KubeimageError, UsageError
from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.fields import objects, optional, strings
from kubeimage.image.media_types import CONFIGS, INDEX, INDEXES, MANIFEST
from kubeimage.image.oci import Descriptor
from kubeimage.values import dataclass

ReferrerKind = Literal["signature", "sbom", "attestation"]
KINDS: tuple[ReferrerKind, ...] = ("signature", "sbom", "attestation")

EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"

_SUFFIXES: dict[str, ReferrerKind] = {"sig": "signature", "att": "attestation", "sbom": "sbom"}
_TAG = re.compile(r"sha256-(?P<hex>[0-9a-f]{64})(?:\.(?P<suffix>sig|att|sbom))?")
_SORTS: tuple[tuple[ReferrerKind, re.Pattern[str]], ...] = (
    ("signature", re.compile(r"notary\.(v2\.)?signature|cosign\.artifact\.sig\b|simplesigning|cosign/sign/")),
    ("sbom", re.compile(r"spdx|cyclonedx|sbom|syft")),
    ("attestation", re.compile(r"in-toto|dsse|slsa|attestation|provenance|cosign\.artifact\.att\b")),
)
_BUNDLE = re.compile(r"application/vnd\.dev\.sigstore\.bundle\b.*")
_BUNDLE_CONTENT = "dev.sigstore.bundle.content"
_BUNDLE_PREDICATE = "dev.sigstore.bundle.predicateType"
# Source: RFC 6838, "Naming Requirements".
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")


def fallback_tag(subject: Digest) -> str:
    """Return the tag of the index that lists what refers to ``subject``, where a registry lists it nowhere else."""
    return f"sha256-{subject.hex}"


def cosign_tag(subject: Digest, suffix: str) -> str:
    """Return cosign's tag for what it attaches to ``subject``; ``suffix`` is ``sig``, ``att`` or ``sbom``."""
    return f"{fallback_tag(subject)}.{suffix}"


def cosign_tags(subject: Digest) -> tuple[str, ...]:
    """Return all of cosign's tags for ``subject``."""
    return tuple(cosign_tag(subject, suffix) for suffix in _SUFFIXES)


def parse_tag(tag: str) -> tuple[Digest, str] | None:
    """Return the subject that a tag is about, with cosign's suffix or none; None for any other tag."""
    match = _TAG.fullmatch(tag)
    return (Digest(match["hex"]), match["suffix"] or "") if match else None


def parse_subject(tag: str) -> Digest | None:
    """Return the subject that one of cosign's tags is about; None for any other tag."""
    parsed = parse_tag(tag)
    return parsed[0] if parsed is not None and parsed[1] else None


@dataclass(frozen=True)
class Referrer:
    """An artefact that refers to an image.

    Shape: ``manifest`` describes its manifest, with that one's annotations. ``subject`` is the manifest or index that
           it refers to. ``tag`` is cosign's, by which alone it is found; empty where the manifest has a ``subject``.
    """

    manifest: Descriptor
    subject: Digest
    artifact_type: str
    tag: str = ""

    @property
    def digest(self) -> Digest:
        """The manifest's."""
        return self.manifest.digest

    @property
    def kinds(self) -> frozenset[ReferrerKind]:
        """What it is in short words; none for what has no such word, and several for what may be either."""
        return kinds_of(self.artifact_type, self.tag, self.manifest.annotations)

    @property
    def label(self) -> str:
        """What it is, for people: a short word, or its type."""
        return next((kind for kind in KINDS if kind in self.kinds), self.artifact_type)

    def __str__(self) -> str:
        return f"{self.label} {self.digest}"


def kinds_of(
    artifact_type: str, tag: str = "", annotations: Mapping[str, str] = MappingProxyType({})
) -> frozenset[ReferrerKind]:
    """Return the short words for an artefact of that type, under that tag."""
    named = parse_tag(tag)
    if named is not None and named[1]:
        return frozenset({_SUFFIXES[named[1]]})
    said = artifact_type.lower()
    if _BUNDLE.fullmatch(said):
        predicate = annotations.get(_BUNDLE_PREDICATE, "").lower()
        if annotations.get(_BUNDLE_CONTENT) == "message-signature" or "cosign/sign/" in predicate:
            return frozenset({"signature"})
        # A bundle may hold either, where it does not say.
        either: frozenset[ReferrerKind] = frozenset({"attestation"} if predicate else {"signature", "attestation"})
        return either | {kind for kind, pattern in _SORTS if pattern.search(predicate)}
    return frozenset(kind for kind, pattern in _SORTS if pattern.search(said))


@dataclass(frozen=True)
class ReferrerChoice:
    """Which artefacts travel with an image. Shape: ``types`` are short words and artefact types; None means all."""

    types: tuple[str, ...] | None = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``none``, ``all``, or short words and artefact types with commas between them.

        Raises: UsageError.
        """
        words = [one.strip() for one in text.split(",")]
        if words in (["none"], ["all"]):
            return cls(() if words == ["none"] else None)
        for word in words:
            if word not in KINDS and not _MEDIA_TYPE.fullmatch(word):
                raise UsageError(
                    f"not a kind of referrer: {word!r}",
                    hint=f"none or all alone, or some of {', '.join(KINDS)}, or a type as application/spdx+json",
                )
        return cls(tuple(dict.fromkeys(words)))

    def __bool__(self) -> bool:
        return self.types != ()

    def __str__(self) -> str:
        return "all" if self.types is None else ",".join(self.types) or "none"

    def including(self, kind: ReferrerKind) -> Self:
        """Return a choice that takes artefacts of that kind as well."""
        return self if self.types is None or kind in self.types else type(self)((*self.types, kind))

    @property
    def only_type(self) -> str | None:
        """The one artefact type that is wanted, which a registry can be asked for; None for anything else."""
        alone = self.types[0] if self.types is not None and len(self.types) == 1 else None
        return alone if alone not in KINDS else None

    def takes(self, artifact_type: str, tag: str = "", annotations: Mapping[str, str] = MappingProxyType({})) -> bool:
        """Whether an artefact of that type, under that tag, is wanted."""
        if self.types is None:
            return True
        return artifact_type in self.types or not kinds_of(artifact_type, tag, annotations).isdisjoint(self.types)

    def takes_tag(self, tag: str) -> bool:
        """Whether what a tag of cosign's leads to may be wanted."""
        return self.types is None or any("/" in one for one in self.types) or self.takes("", tag)


NO_REFERRERS = ReferrerChoice()
ALL_REFERRERS = ReferrerChoice(None)


class Artifact(NamedTuple):
    """What the manifest of an artefact says, be it an image manifest, an index, or ORAS's artifact manifest.

    Shape: ``subject`` None where it has none. ``blobs`` are its config and its contents, each once. ``manifests`` are
           those that an index lists.
    """

    media_type: str
    artifact_type: str
    subject: Digest | None
    blobs: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...] = ()
    annotations: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a manifest.

        Raises: ValueError where it is none.
        """
        try:
            return cls._from_json(canonical.decode(data))
        except (KubeimageError, RecursionError) as error:
            raise ValueError(str(error)) from error

    @classmethod
    def _from_json(cls, value: JsonObject) -> Self:
        media_type = optional(value, "mediaType", str) or (INDEX if "manifests" in value else MANIFEST)
        config = optional(value, "config", dict)
        listed = [
            *objects(optional(value, "layers", list), "layers"),
            *objects(optional(value, "blobs", list), "blobs"),
        ]
        if not (config or listed or "manifests" in value or "subject" in value):
            raise ValueError("it has neither a config nor layers, blobs, manifests or a subject")
        if "manifests" in value and (config or listed):
            raise ValueError("it has both layers and manifests")
        described = [Descriptor.from_json(one) for one in ([config] if config else []) + listed]
        manifests = objects(optional(value, "manifests", list), "manifests")
        subject = optional(value, "subject", dict)
        return cls(
            media_type,
            optional(value, "artifactType", str) or _implied_type(config, listed),
            Descriptor.from_json(subject).digest if subject else None,
            tuple({one.digest: one for one in described}.values()),
            tuple(Descriptor.from_json(one) for one in manifests),
            strings(optional(value, "annotations", dict)),
        )

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests of its own."""
        return self.media_type in INDEXES


def _implied_type(config: Mapping[str, object], listed: list[dict[str, object]]) -> str:
    """Return the type of what does not say it: its config's, or for what poses as an image that of its content."""
    said = str(config.get("mediaType") or "")
    if said and said not in CONFIGS and said != EMPTY_CONFIG:
        return said
    return str(listed[0].get("mediaType") or "") if listed else said


def read_referrer(data: bytes, subject: Digest, tag: str = "") -> tuple[Referrer, Artifact]:
    """Return the artefact whose manifest ``data`` is, found as one that refers to ``subject``.

    Shape:  ``tag`` is cosign's, where it was found under that: then the manifest need have no subject of its own.
    Raises: ValueError where it is no manifest, or refers to something else.
    """
    artifact = Artifact.from_bytes(data)
    if artifact.subject is None and not tag:
        raise ValueError(f"it has no subject, and is said to refer to {subject}")
    if artifact.subject is not None and artifact.subject != subject:
        raise ValueError(f"it refers to {artifact.subject}, and is said to refer to {subject}")
    digest = Digest.of(data)
    if digest == subject:
        raise ValueError("it is said to refer to itself")
    manifest = Descriptor(artifact.media_type, digest, len(data), artifact.annotations)
    return Referrer(manifest, subject, artifact.artifact_type, tag if artifact.subject is None else ""), artifact
