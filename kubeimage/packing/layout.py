"""The storage layout of distribution, the stock registry, below ``registry/`` of the rootfs.

    registry/docker/registry/v2/
      blobs/sha256/AA/DIGEST/data
      repositories/NAME/
        _layers/sha256/DIGEST/link                  what the repository may serve: configs and layers
        _manifests/revisions/sha256/DIGEST/link     manifests and indexes
        _manifests/tags/TAG/current/link            the tag's manifest now
        _manifests/tags/TAG/index/sha256/DIGEST/link    and those it ever had

Each ``link`` holds ``sha256:DIGEST``, without a newline.

Source: distribution, registry/storage/paths.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor, Index
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Entry, Kind, file
from kubeimage.values import dataclass

REGISTRY = "registry"
ROOT = f"{REGISTRY}/docker/registry/v2"
BLOBS = f"{ROOT}/blobs/sha256"


def blob_path(digest: Digest) -> str:
    """Return where a blob stands."""
    return f"{BLOBS}/{digest.hex[:2]}/{digest.hex}/data"


def repository_path(image: Reference) -> str:
    """Return the folder of an image's repository."""
    return f"{ROOT}/repositories/{image.repository}"


def tag_path(image: Reference) -> str:
    """Return the link that says what an image's tag means."""
    return f"{repository_path(image)}/_manifests/tags/{image.tag}/current/link"


def past_path(current: str, digest: Digest) -> str:
    """Return the link that says what a tag, which is at ``current``, has led to."""
    return f"{current.removesuffix('current/link')}index/sha256/{digest.hex}/link"


def revision_path(image: Reference, digest: Digest) -> str:
    """Return the link that lets a repository serve a manifest."""
    return f"{repository_path(image)}/_manifests/revisions/sha256/{digest.hex}/link"


def layer_path(image: Reference, digest: Digest) -> str:
    """Return the link that lets a repository serve a config or layer."""
    return f"{repository_path(image)}/_layers/sha256/{digest.hex}/link"


def choose_manifest(index: Index, platform: Platform) -> Descriptor | None:
    """Return the manifest of an index that is taken for a platform, None where there is none.

    What is for no platform, such as an attestation, is no image; an index of one image need not say whom it is for.
    """
    listed = [one for one in index.manifests if one.platform is not None and one.platform.os != "unknown"]
    if not listed and len(index.manifests) == 1:
        return index.manifests[0]
    return next(iter(platform.choose(listed, lambda one: one.platform or platform)), None)


@dataclass(frozen=True)
class Artefact:
    """What refers to an image, as it is laid out.

    Shape: ``manifests`` are its own, the last, and those that it lists. ``tag`` leads to its own; empty where an index
           lists it.
    """

    manifests: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]
    tag: str = ""


@dataclass(frozen=True)
class Contents:
    """All of one image.

    Shape: ``digest`` is of what its name leads to: a manifest, or an index. ``manifests`` are that, and the index's
           manifest for the platform. ``layers`` are each there once. ``artefacts`` refer to it, with the indexes that
           list them.
    """

    image: Reference
    digest: Digest
    manifests: tuple[Descriptor, ...]
    config: Descriptor
    layers: tuple[Descriptor, ...]
    artefacts: tuple[Artefact, ...] = ()

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers."""
        return (self.config, *self.layers)

    @property
    def all_blobs(self) -> tuple[Descriptor, ...]:
        """Manifests, config and layers, and those of what refers to it."""
        return (*self.manifests, *self.blobs, *self.artefact_manifests, *self.artefact_blobs)

    @property
    def artefact_manifests(self) -> tuple[Descriptor, ...]:
        """The manifests of what refers to it."""
        return tuple(one for artefact in self.artefacts for one in artefact.manifests)

    @property
    def artefact_blobs(self) -> tuple[Descriptor, ...]:
        """The blobs of what refers to it."""
        return tuple(one for artefact in self.artefacts for one in artefact.blobs)

    def links(self) -> Iterable[tuple[str, Digest]]:
        """Yield every link with what it leads to."""
        for manifest in (*self.manifests, *self.artefact_manifests):
            yield revision_path(self.image, manifest.digest), manifest.digest
        for blob in (*self.blobs, *self.artefact_blobs):
            yield layer_path(self.image, blob.digest), blob.digest
        if self.image.tag:
            yield from self._tag_links(self.image.tag, self.digest)
        for artefact in self.artefacts:
            if artefact.tag:
                yield from self._tag_links(artefact.tag, artefact.manifests[-1].digest)

    def _tag_links(self, tag: str, digest: Digest) -> Iterable[tuple[str, Digest]]:
        current = tag_path(self.image.with_tag(tag))
        yield current, digest
        yield past_path(current, digest), digest


def link_entry(path: str, digest: Digest) -> Entry:
    """Make the file of a link."""
    return file(path, str(digest).encode())


def blob_entry(digest: Digest, size: int) -> Entry:
    """Make the file of a blob, whose content is known by its digest alone."""
    return Entry(blob_path(digest), Kind.FILE, size=size, digest=bytes.fromhex(digest.hex))


_TAG = re.compile(re.escape(f"{ROOT}/repositories/") + "(?P<name>.+)/_manifests/tags/(?P<tag>[^/]+)/current/link")


def is_tag(path: str) -> bool:
    """Whether a path is that of a tag's link."""
    return _TAG.fullmatch(path) is not None


def tags_in(paths: Iterable[str]) -> list[str]:
    """Return the names, as in ``nginx:1.25``, of what the files at ``paths`` let the registry serve by tag."""
    found = (_TAG.fullmatch(path) for path in paths)
    return [f"{one['name']}:{one['tag']}" for one in found if one is not None]
