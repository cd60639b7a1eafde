"""The annotations by which a layout says how an image is called.

Source: OCI image-spec v1.1, annotations.md, for ``org.opencontainers.image.ref.name``.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubeimage.errors import ReferenceFormatError
from kubeimage.image.oci import ANNOTATION_FULL_NAME, ANNOTATION_REF_NAME
from kubeimage.image.reference import Reference


def name_annotations(reference: Reference) -> dict[str, str]:
    """Return the annotations of an image that is called so."""
    return {ANNOTATION_REF_NAME: reference.familiar(), ANNOTATION_FULL_NAME: str(reference)}


def named_in(annotations: Mapping[str, str]) -> Reference | None:
    """Return the name in the annotations, None where there is none that can be understood.

    containerd, nerdctl, BuildKit and Docker write the whole name, and the tag alone for the short one. A tool that
    gives an image another name changes the short one only: so that one decides where it is more than a tag.
    """
    short, full = annotations.get(ANNOTATION_REF_NAME, ""), annotations.get(ANNOTATION_FULL_NAME, "")
    whole = _parse(full)
    if whole is None:
        return _parse(short)
    if short in ("", full, whole.familiar()) or (whole.tag and short == whole.tag):
        return whole
    # A name by digest alone: what stands beside it, "sha256" or the digest, is no name either.
    is_name = whole.tag or short not in ("sha256", str(whole.digest), whole.digest.hex if whole.digest else "")
    return _parse(short) if is_name else None


def _parse(text: str) -> Reference | None:
    try:
        return Reference.parse(text) if text else None
    except ReferenceFormatError:
        return None
