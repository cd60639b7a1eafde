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

from collections.abc import Callable, Iterable, Mapping

from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor, Index
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Entry, Kind, canonical_order, directory_as, file
from kubeimage.layer.names import ancestors
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
class Contents:
    """All of one image.

    Shape: ``digest`` is of what its name leads to: a manifest, or an index. ``manifests`` are the bytes of that, and of
           the index's manifest for the platform. ``layers`` are each there once.
    """

    image: Reference
    digest: Digest
    manifests: Mapping[Digest, bytes]
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers."""
        return (self.config, *self.layers)

    def links(self) -> Iterable[tuple[str, Digest]]:
        """Yield every link with what it leads to."""
        for digest in self.manifests:
            yield revision_path(self.image, digest), digest
        for blob in self.blobs:
            yield layer_path(self.image, blob.digest), blob.digest
        if self.image.tag:
            current = tag_path(self.image)
            yield current, self.digest
            yield f"{current.removesuffix('current/link')}index/sha256/{self.digest.hex}/link", self.digest


def make_entries(
    images: Iterable[Contents],
    files: Iterable[Entry],
    below: Mapping[str, Entry],
    source: Callable[[Digest], str],
    mtime: int,
) -> list[Entry]:
    """Lay out ``images`` and ``files`` as a changeset in canonical order; blobs that are ``below`` are left out.

    ``source`` gives the path of a blob.
    """
    made: dict[str, Entry] = {entry.path: entry for entry in files}
    for contents in images:
        for path, digest in contents.links():
            made[path] = file(path, str(digest).encode())
        for digest, data in contents.manifests.items():
            _add(made, below, file(blob_path(digest), data))
        for blob in contents.blobs:
            path = blob_path(blob.digest)
            content = Entry(path, Kind.FILE, size=blob.size, source=source(blob.digest))
            _add(made, below, content._replace(digest=bytes.fromhex(blob.digest.hex)))
    for path in {parent for one in made for parent in ancestors(one)}:
        made[path] = directory_as(path, below.get(path))
    return canonical_order(entry._replace(mtime=mtime) for entry in made.values())


def _add(made: dict[str, Entry], below: Mapping[str, Entry], entry: Entry) -> None:
    there = below.get(entry.path)
    if there is None or there.kind is not Kind.FILE or there.size != entry.size:
        made[entry.path] = entry
