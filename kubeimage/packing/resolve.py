"""What a name leads to: a digest, from a registry or from what is known without asking one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kubeimage.discovery.references import familiar
from kubeimage.discovery.search import PullImages
from kubeimage.errors import DigestFormatError, PackingError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.packing.memory import Memory


class Names:
    """The digests that names led to, the last time somebody asked a registry."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def get(self, image: Reference) -> Digest | None:
        """Return the digest, None where nobody knows."""
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
    """Return the digests that are known without asking a registry; with ``always`` only those that the names say.

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


Ask = Callable[[Sequence[Reference], Callable[[Reference], Digest | None]], dict[Reference, Digest]]
"""Asks registries what names lead to; what is remembered of them need not be fetched again."""


def resolve_images(
    images: Sequence[Reference],
    policy: PullImages,
    names: Names,
    below: Mapping[Reference, Digest],
    ask: Ask,
    *,
    meanings: Callable[[Reference], Mapping[Digest, str]] | None = None,
) -> dict[Reference, Digest]:
    """Return the digest of each image, and remember what registries said.

    What ``ask`` leaves out is left out. ``below`` is what the base image brings.
    ``meanings`` gives what a name led to when images of the store were built.
    Raises: PackingError where nobody is to be asked for what is not known; what ``ask`` raises.
    """
    known = resolve_known(images, policy, names, below)
    if policy == "never" and meanings is not None:
        known |= _resolve_as_packed([image for image in images if image not in known], meanings)
    unknown = [image for image in images if image not in known]
    if unknown and policy == "never":
        raise PackingError(
            f"--pull-images never, and {len(unknown)} of {len(images)} images were never fetched: "
            f"{', '.join(map(str, unknown))}",
            hint="fetch them once, with --pull-images missing",
        )
    asked = ask(unknown, names.get) if unknown else {}
    for image, digest in asked.items():
        names.put(image, digest)
    found = {image: known.get(image) or asked.get(image) for image in images}
    return {image: digest for image, digest in found.items() if digest is not None}


def _resolve_as_packed(
    images: Sequence[Reference], meanings: Callable[[Reference], Mapping[Digest, str]]
) -> dict[Reference, Digest]:
    """Return the digests that names led to when images of the store were built.

    Raises: PackingError where a name led to several, for nobody can say which is meant.
    """
    known: dict[Reference, Digest] = {}
    for image in images:
        found = meanings(image)
        if len(found) > 1:
            said = "; ".join(f"{digest} in {name}" for digest, name in found.items())
            raise PackingError(
                f"--pull-images never, and {image} means different images in those of the store: {said}",
                hint="name it with its digest; or ask its registry: --pull-images missing",
            )
        if found:
            known[image] = next(iter(found))
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
