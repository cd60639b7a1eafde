"""From images to all that refers to them, and to what refers to that, wherever they are kept.

A place may lie: what it lists is bounded in number and depth, and what refers to itself ends in an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.referrers import Artifact, Referrer

LARGEST_CONTENT = 64 << 20
"""Bytes of one blob of an artefact that is read at once: more is copied, and never read."""

MOST_REFERRERS = 1000
"""How many artefacts may refer to one image, those that refer to these included."""

DEEPEST = 4
"""How many artefacts may refer to one another in a row: a signature of an SBOM of an image makes two."""


class Referrers(Protocol):
    """A place that has images, and what refers to them."""

    def list_referrers(self, subject: Digest) -> list[Referrer]:
        """Return what refers to a manifest or index, in the order of digests; not what refers to that in turn.

        Raises: RegistryError, StoreError.
        """
        ...

    def read_manifest(self, digest: Digest) -> bytes:
        """Return the manifest of an artefact, verified.

        Raises: RegistryError, StoreError.
        """
        ...

    def read_blob(self, blob: Descriptor) -> bytes:
        """Return a blob of an artefact, verified; it has at most ``LARGEST_CONTENT`` bytes.

        Raises: RegistryError, StoreError.
        """
        ...


class FoundReferrer(NamedTuple):
    """An artefact with what it consists of.

    Shape: ``data`` is its manifest. ``inner`` are the manifests that it lists, where it is an index, innermost first.
           ``blobs`` are those of all of them, each once.
    """

    referrer: Referrer
    data: bytes
    blobs: tuple[Descriptor, ...]
    inner: tuple[tuple[Descriptor, bytes], ...] = ()


ListLevel = Callable[[Sequence[Digest]], Iterable[FoundReferrer]]
"""Returns what refers to any of several manifests."""


def walk_referrers(subjects: Iterable[Digest], list_level: ListLevel) -> list[FoundReferrer]:
    """Return what refers to ``subjects``, and what refers to that in turn; each stands after its subject.

    Raises: ValueError where there are too many, or too many in a row, or one refers to itself; whatever ``list_level``
        raises.
    """
    chains: dict[Digest, frozenset[Digest]] = {one: frozenset({one}) for one in subjects}
    found: dict[tuple[Digest, Digest], FoundReferrer] = {}
    level = list(chains)
    for depth in range(DEEPEST + 1):
        new = [one for one in list_level(level) if (one.referrer.digest, one.referrer.subject) not in found]
        if new and depth == DEEPEST:
            raise ValueError(f"more than {DEEPEST} artefacts refer to one another in a row")
        level = []
        for one in sorted(new, key=_in_order):
            digest, subject = one.referrer.digest, one.referrer.subject
            if digest in chains[subject]:
                raise ValueError(f"{digest} refers to itself")
            found[digest, subject] = one
            if digest not in chains:
                chains[digest] = chains[subject] | {digest}
                level.append(digest)
        if len(found) > MOST_REFERRERS:
            raise ValueError(f"more than {MOST_REFERRERS} artefacts refer to it")
        if not level:
            break
    return list(found.values())


def _in_order(found: FoundReferrer) -> tuple[Digest, Digest]:
    return found.referrer.subject, found.referrer.digest


def read_artifact(data: bytes, referrer: Referrer, read_inner: Callable[[Descriptor], bytes]) -> FoundReferrer:
    """Return an artefact with all that it consists of; ``read_inner`` reads the manifests that an index lists.

    Raises: ValueError for what is no manifest, or indexes that are nested too deep; whatever ``read_inner`` raises.
    """
    top = Artifact.from_bytes(data)
    blobs = {one.digest: one for one in top.blobs}
    inner: dict[Digest, tuple[Descriptor, bytes]] = {}
    todo = [(one, 1) for one in top.manifests]
    while todo:
        listed, depth = todo.pop()
        if depth > DEEPEST or len(inner) > MOST_REFERRERS:
            raise ValueError("it lists too many manifests, or lists them too deep")
        if listed.digest in inner:
            continue
        content = read_inner(listed)
        document = Artifact.from_bytes(content)
        inner[listed.digest] = listed, content
        blobs |= {one.digest: one for one in document.blobs}
        todo += [(one, depth + 1) for one in document.manifests]
    return FoundReferrer(referrer, data, tuple(blobs.values()), tuple(inner.values())[::-1])
