"""Find an image by what a person calls it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubeimage.errors import ImageNotFoundError
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Naming, Reference
from kubeimage.protocols.images import ImageRecord, ImageStore

_IMAGE_ID = r"(sha256:)?[0-9a-f]{6,64}"


def find_image(
    name: str, images: ImageStore, platform: Platform | None = None, naming: Naming | None = None
) -> tuple[Image, Reference | None]:
    """Give the image that a person means by ``name``: a reference, or the start of an image id.

    Raises: ImageNotFoundError with near names; ReferenceFormatError where it can be neither.
    """
    by_id = images.find(name.removeprefix("sha256:")) if re.fullmatch(_IMAGE_ID, name) else None
    if name.startswith("sha256:") and by_id is not None:
        return by_id, None
    naming = naming or Naming()
    reference = naming.parse(name)
    image = images.get(reference, platform)
    if image is not None:
        return image, reference
    if by_id is not None:
        return by_id, None
    raise _no_image(name, reference, platform, images.records(), naming)


def _no_image(
    name: str, reference: Reference, platform: Platform | None, records: Sequence[ImageRecord], naming: Naming
) -> ImageNotFoundError:
    there = sorted({str(record.platform) for record in records if record.reference == reference})
    if there:
        return ImageNotFoundError(f"no image {name} for {platform} in the store", hint=f"it is for {', '.join(there)}")
    known = [record.reference for record in records if record.reference is not None]
    return ImageNotFoundError(f"no image {name} in the store", hint=naming.suggest(naming.familiar(reference), known))
