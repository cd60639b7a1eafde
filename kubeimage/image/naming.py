"""The annotations by which a layout says how an image is called.

Source: OCI image-spec v1.1, annotations.md, for ``org.opencontainers.image.ref.name``.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubeimage.errors import ReferenceFormatError
from kubeimage.image.oci import ANNOTATION_FULL_NAME, ANNOTATION_REF_NAME
from kubeimage.image.reference import Reference


def name_annotations(reference: Reference) -> dict[str, str]:
    """Give the annotations of an image that is called so."""
    return {ANNOTATION_REF_NAME: reference.familiar(), ANNOTATION_FULL_NAME: str(reference)}


def named_in(annotations: Mapping[str, str]) -> Reference | None:
    """Give the name in the annotations, None where there is none that can be understood.

    Another tool that gives an image another name changes the short one only, so that one decides.
    """
    short, full = annotations.get(ANNOTATION_REF_NAME, ""), annotations.get(ANNOTATION_FULL_NAME, "")
    try:
        if full:
            reference = Reference.parse(full)
            if short in ("", full, reference.familiar()):
                return reference
        return Reference.parse(short) if short else None
    except ReferenceFormatError:
        return None
