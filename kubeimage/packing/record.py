"""What the packed layers say about themselves: ``registry/images.json``, and the ``Metadata`` of the rootfs.

``registry/images.json`` lists the packed images, by full name, with the digest that each name led to, and the patterns
that left others out. It is what the proof goes by, and it is how a host is known where storage paths have none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from kubeimage.discovery.findings import KubeVersion
from kubeimage.discovery.kubeversion import combine, is_met, parse_version
from kubeimage.discovery.references import parse_image
from kubeimage.errors import KubeimageError, KubeVersionError, PackingError
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.values import dataclass

RECORD = "registry/images.json"
METADATA = "Metadata"
_VERSION = 1


@dataclass(frozen=True)
class Record:
    """The packed images with their digests, what was left out, and the charts that were searched, by their digests.

    Shape: ``listed`` are the guesses that were only listed.
    """

    images: Mapping[Reference, Digest]
    ignored: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()

    def over(self, below: Record | None) -> Self:
        """Return the record of an image that stands on one with the record ``below``."""
        if below is None:
            return self
        ignored = tuple(dict.fromkeys((*below.ignored, *self.ignored)))
        charts = tuple(dict.fromkeys((*below.charts, *self.charts)))
        listed = tuple(dict.fromkeys((*below.listed, *self.listed)))
        return type(self)({**below.images, **self.images}, ignored, charts, listed)

    def to_bytes(self) -> bytes:
        """Return the file."""
        images = [{"name": str(one), "digest": str(self.images[one])} for one in sorted(self.images, key=str)]
        lists = {"ignored": [*self.ignored], "charts": [*self.charts]}
        value: dict[str, object] = {"version": _VERSION, "images": images, **lists}
        if self.listed:
            value["listed"] = [*self.listed]
        return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the file.

        Raises: PackingError where it is none.
        """
        try:
            value = canonical.loads(data)
            _check_version(value["version"])
            images = {parse_image(one["name"]): Digest.parse(one["digest"]) for one in value["images"]}
            texts = (value["ignored"], value["charts"], value.get("listed", ()))
            return cls(images, *(tuple(map(str, one)) for one in texts))
        except PackingError:
            raise
        except (ValueError, KeyError, TypeError, KubeimageError) as error:
            raise PackingError(f"{RECORD} cannot be read: {error}") from error


def _check_version(version: object) -> None:
    if version != _VERSION:
        raise PackingError(f"{RECORD} has version {version!r}, written by a newer kubeimage")


def read_metadata(data: bytes | None) -> dict[str, Any]:
    """Read ``Metadata``; empty where there is none.

    Raises: PackingError where it is no JSON object.
    """
    if data is None:
        return {}
    try:
        value = canonical.loads(data)
    except ValueError as error:
        raise PackingError(f"{METADATA} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise PackingError(f"{METADATA} is not a JSON object")
    return value


def cluster_version(metadata: Mapping[str, Any]) -> str | None:
    """Return the version of Kubernetes that ``Metadata`` says, None where that is none.

    Images of sealer's may have the constraint of some chart in its place.
    """
    text = metadata.get("version")
    try:
        return text if isinstance(text, str) and parse_version(text) else None
    except KubeVersionError:
        return None


def check_kube_versions(asked: Sequence[KubeVersion], cluster: str | None) -> None:
    """Find out whether the charts can be installed on the cluster, where its version is known.

    Raises: KubeVersionError that names the charts and the version, or the chart whose constraint is none.
    """
    if cluster is None:
        return
    version = parse_version(cluster)
    unmet = [one for one in asked if not is_met(one.constraint, version)]
    if unmet:
        charts = "; ".join(f"the chart {one.chart} asks for Kubernetes {one.constraint}" for one in unmet)
        raise KubeVersionError(
            f"{charts}, and the cluster's version is {cluster}",
            hint="take another version of the chart, or another base image; or pass it over: --ignore-chart NAME",
        )


def with_kube_versions(metadata: Mapping[str, Any], asked: Sequence[KubeVersion]) -> bytes:
    """Return ``Metadata`` that records what the charts ask for, beside what it says already.

    Raises: KubeVersionError.
    """
    before = metadata.get("kubeVersion")
    constraints = [before] if isinstance(before, str) and before else []
    value = {**metadata, "kubeVersion": combine([*constraints, *(one.constraint for one in asked)])}
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()
