"""What a name leads to: a digest, from a registry or from what is known without asking one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from kubeimage.discovery.references import familiar
from kubeimage.discovery.search import PullImages
from kubeimage.errors import DigestFormatError, PackingError
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference


class Memory:
    """Small JSON files below one folder of the store's cache. It may forget at any time, and never answers wrongly."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def get(self, kind: str, name: str) -> object:
        """Give what was remembered, or None."""
        try:
            with open(self._path(kind, name), "rb") as stream:
                value = canonical.loads(stream.read())
        except (OSError, ValueError):
            return None
        return value.get("value") if isinstance(value, dict) and value.get("name") == name else None

    def put(self, kind: str, name: str, value: object) -> None:
        """Remember something, if the disk lets us."""
        import tempfile

        path = self._path(kind, name)
        data = json.dumps({"name": name, "value": value}).encode()
        with suppress(OSError):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            handle, unfinished = tempfile.mkstemp(dir=os.path.dirname(path))
            with open(handle, "wb") as stream:
                stream.write(data)
            os.replace(unfinished, path)

    def _path(self, kind: str, name: str) -> str:
        return os.path.join(self._folder, kind, Digest.of(name.encode()).hex)


class Names:
    """The digests that names led to, the last time somebody asked a registry."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def get(self, image: Reference) -> Digest | None:
        """Give the digest, None where nobody knows."""
        found = self._memory.get("names", str(image))
        try:
            return Digest.parse(str(found))
        except DigestFormatError:
            return None

    def put(self, image: Reference, digest: Digest) -> None:
        """Remember a digest."""
        self._memory.put("names", str(image), str(digest))


def resolve_known(
    images: Sequence[Reference],
    policy: PullImages,
    names: Names,
    below: Mapping[Reference, Digest],
) -> dict[Reference, Digest]:
    """Give the digests that are known without asking a registry; with ``always`` only those that the names say.

    ``below`` is what the base image brings.
    """
    known: dict[Reference, Digest] = {}
    for image in images:
        digest = image.digest
        if digest is None and policy != "always":
            digest = below.get(image) or names.get(image)
        if digest is not None:
            known[image] = digest
    return known


def check_collisions(resolved: Mapping[Reference, Digest]) -> None:
    """Refuse images that would share repository and tag in one registry, and are not the same.

    Raises: PackingError that names both.
    """
    taken: dict[tuple[str, str], Reference] = {}
    for image in sorted(resolved, key=str):
        other = taken.setdefault((image.repository, image.tag), image) if image.tag else image
        if resolved[other] != resolved[image]:
            raise PackingError(
                f"{other} and {image} have different contents, and the image's registry has one place for both: "
                f"{image.repository}:{image.tag}",
                hint=f"give one of them another repository or tag; or leave one out: --ignore-image {familiar(image)}",
            )
