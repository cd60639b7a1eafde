"""What images consist of, remembered by their digests: it can never change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kubeimage.errors import KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.packing.layout import Contents
from kubeimage.packing.memory import Memory

if TYPE_CHECKING:
    from kubeimage.packing.fetch import Fetcher

_KIND = "contents"


def read_contents(
    resolved: Mapping[Reference, Digest], platform: Platform, fetcher: Fetcher, memory: Memory
) -> list[Contents]:
    """Return what each image consists of, in the order of names; nobody is asked for what is remembered.

    Raises: RegistryError, CredentialsError, PackingError; StoreError.
    """
    known: dict[Reference, Contents] = {}
    for image, digest in resolved.items():
        remembered = recall_contents(image, digest, platform, memory)
        if remembered is not None:
            known[image] = remembered
    asked = fetcher.read({image: digest for image, digest in resolved.items() if image not in known})
    for contents in asked.values():
        memory.put(_KIND, _name(contents.digest, platform), _to_json(contents))
    return [known.get(image) or asked[image] for image in sorted(resolved, key=str)]


def recall_contents(image: Reference, digest: Digest, platform: Platform, memory: Memory) -> Contents | None:
    """Return what an image of that digest consists of, None where nobody remembers."""
    return _from_json(image, digest, memory.get(_KIND, _name(digest, platform)))


def _name(digest: Digest, platform: Platform) -> str:
    return f"{digest} {platform}"


def _to_json(contents: Contents) -> list[list[list[object]]]:
    return [
        [[one.media_type, str(one.digest), one.size] for one in part]
        for part in (contents.manifests, (contents.config,), contents.layers)
    ]


def _from_json(image: Reference, digest: Digest, value: object) -> Contents | None:
    """Read what was remembered; what cannot be read was not."""
    match value:
        case [[*manifests], [config], [*layers]]:
            try:
                return Contents(
                    image, digest, tuple(map(_describe, manifests)), _describe(config), tuple(map(_describe, layers))
                )
            except (KubeimageError, TypeError, ValueError):
                return None
    return None


def _describe(value: object) -> Descriptor:
    match value:
        case [str(media_type), str(digest), int(size)]:
            return Descriptor(media_type, Digest.parse(digest), size)
    raise ValueError("no descriptor")
