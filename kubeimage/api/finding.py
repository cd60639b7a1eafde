"""Find images by what a person calls them, and look at what is found."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kubeimage.errors import ImageNotFoundError, ReferenceFormatError, UsageError
from kubeimage.image.compatibility import read_comment
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Naming, Reference
from kubeimage.sources.names import is_source_name
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.api.backends import Backends
    from kubeimage.image.document import History, Layer
    from kubeimage.protocols.images import ImageRecord

ImageName = str | Reference | Image
"""What operations take for an image.

A name as people type it, also one outside the store (``oci:DIR``, ``docker://HOST/NAME`` …); the start of an image id;
or what was found already.
"""

_IMAGE_ID = r"(sha256:)?[0-9a-f]{6,64}"


def find_image(
    name: ImageName, backends: Backends, *, platform: Platform | None = None
) -> tuple[Image, Reference | None]:
    """Return the image that a person means by ``name``, and the name, where it is one of the store.

    Raises: ImageNotFoundError with near names; ReferenceFormatError where it can be neither a name nor an id;
        UsageError, ArchiveError, RegistryError, PlatformMismatchError for an image outside the store.
    """
    if isinstance(name, Image):
        return name, None
    if isinstance(name, str) and is_source_name(name):
        return _find_elsewhere(name, backends, platform), None
    naming, images = backends.naming, backends.images
    text = str(name)
    by_id = images.find(text.removeprefix("sha256:")) if re.fullmatch(_IMAGE_ID, text) else None
    if text.startswith("sha256:") and by_id is not None:
        return by_id, None
    try:
        reference = name if isinstance(name, Reference) else naming.parse(name)
    except ReferenceFormatError as error:
        raise ReferenceFormatError(error.message, hint=_elsewhere(text) or error.hint) from error
    image = images.get(reference, platform)
    if image is not None:
        return image, reference
    if by_id is not None:
        return by_id, None
    raise _no_image(text, reference, platform, images.records(), naming)


def _find_elsewhere(name: str, backends: Backends, platform: Platform | None) -> Image:
    if backends.sources is None:
        raise UsageError(f"these backends know no images outside the store: {name!r}")
    return backends.sources.open(name, platform).image


def parse_name(name: str | Reference, naming: Naming, *, what: str = "a tag") -> Reference:
    """Return a name that an image is to get; errors call it ``what``.

    Raises: ReferenceFormatError, also for a digest, which nobody can give.
    """
    if isinstance(name, str) and is_source_name(name):
        raise _no_name(name, what)
    reference = name if isinstance(name, Reference) else naming.parse(name)
    if reference.digest is not None:
        raise ReferenceFormatError(
            f"{what} takes a name, found one with a digest: {str(name)!r}", hint="leave out what stands behind the @"
        )
    return reference


def _no_name(name: str, what: str) -> UsageError:
    return UsageError(
        f"{what} takes a name in the store, found {name!r}, which lies elsewhere",
        hint="kubeimage load or pull brings it into the store",
    )


def check_is_stored(name: ImageName, *, what: str) -> None:
    """Find out whether a name is one of the store, for what changes the store by names.

    Raises: UsageError for an image that lies elsewhere.
    """
    if isinstance(name, str) and is_source_name(name):
        raise _no_name(name, what)


def _no_image(
    name: str, reference: Reference, platform: Platform | None, records: Sequence[ImageRecord], naming: Naming
) -> ImageNotFoundError:
    there = sorted({str(record.platform) for record in records if record.reference == reference})
    if there:
        return ImageNotFoundError(f"no image {name} for {platform} in the store", hint=f"it is for {', '.join(there)}")
    known = [record.reference for record in records if record.reference is not None]
    hint = _elsewhere(name) or naming.suggest(naming.familiar(reference), known)
    return ImageNotFoundError(f"no image {name} in the store", hint=hint)


def _elsewhere(name: str) -> str | None:
    """Return how an image is named that the person may have meant: a file or folder that is there, or a registry's."""
    if name.startswith("docker:"):
        return f"an image in a registry is docker://{name.removeprefix('docker:')}"
    if os.path.isdir(name):
        return f"there is a folder of that name: an image layout is oci:{name}"
    if os.path.isfile(name):
        return f"there is a file of that name: oci-archive:{name} or docker-archive:{name}"
    return None


def list_images(backends: Backends) -> list[ImageRecord]:
    """Return a record of each image of the store, one for each name and platform.

    Raises: StoreAccessError, BlobCorruptError.
    """
    return backends.images.records()


def inspect_image(name: ImageName, backends: Backends, *, platform: Platform | None = None) -> dict[str, Any]:
    """Return an image's document as people read it: with its id, and with the name that it was asked for by.

    Raises: ImageNotFoundError, ReferenceFormatError; StoreError.
    """
    image, reference = find_image(name, backends, platform=platform)
    return image.present(reference)


@dataclass(frozen=True)
class PastStep:
    """An instruction that an image was made by.

    Shape: ``layer`` is None where it added none. ``dialect`` and ``compatibility`` say by which rules it was carried
           out, None where nobody says.
    """

    created_by: str
    layer: Layer | None
    dialect: str | None = None
    compatibility: int | None = None


def list_history(name: ImageName, backends: Backends, *, platform: Platform | None = None) -> tuple[PastStep, ...]:
    """Return the instructions that an image was made by, in their order, each with its layer.

    Layers that no history speaks of come last, with what made them.
    Raises: ImageNotFoundError, ReferenceFormatError; StoreError.
    """
    image, _ = find_image(name, backends, platform=platform)
    layers = iter(image.layers)
    told = [_past_step(one, None if one.empty_layer else next(layers, None)) for one in image.history]
    return (*told, *(PastStep(f"{layer.kind} {layer.value}", layer) for layer in layers))


def _past_step(entry: History, layer: Layer | None) -> PastStep:
    dialect, version = read_comment(entry.comment) or (None, None)
    return PastStep(entry.created_by, layer, dialect, version)


__all__ = ["ImageName", "PastStep", "find_image", "inspect_image", "list_history", "list_images", "parse_name"]
