"""A config as sealer v0.8 needs it, and the way back to the one it was made of.

sealer v0.8 keeps images by a name and an id that stand in the Image document itself, and reads the Clusterfile's
``spec.image``. Our config holds none of these, for one content has one image id. So what leaves for sealer gets them,
and what comes back loses them: ``spec.id`` is our image id, which proves that the result is what once left.

Source: sealer at 37a2bda, pkg/image/store; images that it made, in ``fixtures/sealer-v08``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.config import CLUSTERFILE_ANNOTATION, NAMELESS, Image
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference

# Docker's manifests have no annotations, so those of ours travel in the document.
_MANIFEST_ANNOTATIONS = "kubeimage/manifest-annotations"
_SEALER_VERSION = "latest"


def to_sealer(image: Image, name: Reference) -> bytes:
    """Return the config of ``image`` with all that sealer v0.8 looks for."""
    value = canonical.decode(image.complete_config(for_sealer=True))
    metadata, spec = _part(value, "metadata"), _part(value, "spec")
    annotations = {**_part(metadata, "annotations")}
    clusterfile = annotations.get(CLUSTERFILE_ANNOTATION)
    if isinstance(clusterfile, str):
        annotations[CLUSTERFILE_ANNOTATION] = clusterfile.replace(NAMELESS, _named(name), 1)
    if image.manifest_annotations:
        text = canonical.encode(dict(image.manifest_annotations)).decode()
        annotations[_MANIFEST_ANNOTATIONS] = text
    metadata = {**metadata, "name": str(name), "creationTimestamp": None, "annotations": annotations}
    spec = {**spec, "id": image.id.hex, "sealer_version": _SEALER_VERSION}
    return canonical.encode({**value, "metadata": metadata, "spec": spec})


def from_sealer(config: bytes) -> tuple[bytes, dict[str, str]] | None:
    """Return the config that ``to_sealer`` got, and its manifest's annotations; None for any other config."""
    try:
        value = canonical.decode(config)
        metadata, spec = dict(value["metadata"]), dict(value["spec"])
        name, wanted = str(metadata.pop("name")), str(spec.pop("id"))
        annotations = dict(metadata.get("annotations") or {})
        own = canonical.loads(annotations.pop(_MANIFEST_ANNOTATIONS, "{}"))
        manifest_annotations = {str(key): str(text) for key, text in own.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    metadata.pop("creationTimestamp", None)
    spec.pop("sealer_version", None)
    for candidate in _clusterfiles(annotations, name):
        found = canonical.encode({**value, "metadata": {**metadata, "annotations": candidate}, "spec": spec})
        if Digest.of(found).hex == wanted:
            return found, manifest_annotations
    return None


def _clusterfiles(annotations: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the annotations as they may have been: a Clusterfile without a name, or one that had it all along."""
    clusterfile = annotations.get(CLUSTERFILE_ANNOTATION)
    if isinstance(clusterfile, str):
        yield {**annotations, CLUSTERFILE_ANNOTATION: clusterfile.replace(_named(name), NAMELESS, 1)}
    yield annotations


def _named(name: Reference | str) -> str:
    return f"  image: {name}\n"


def _part(value: JsonObject, name: str) -> JsonObject:
    found = value.get(name)
    return found if isinstance(found, dict) else {}
