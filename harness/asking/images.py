"""Which image a test is about."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from harness.asking.imageoptions import ImageSettings

# As kubeimage.sources.names has them, which a run without an image need not import.
_TRANSPORTS = ("oci:", "oci-archive:", "docker-archive:", "docker://", "docker-daemon:")
IMAGE_MARKER = "oci_image"
IMAGE_MARKER_HELP = (
    f"{IMAGE_MARKER}(*refs, platform=None): the images that a test is about, as --oci-image names them, and for which "
    "platform"
)


@dataclass(frozen=True)
class ImageSubject:
    """An image, and the platform that it is wanted for, where not this machine's."""

    name: str
    platform: str | None = None


def images_among(arguments: Iterable[str]) -> tuple[dict[str, frozenset[str]], list[str]]:
    """Part test paths that name an image, as in ``oci:DIR::oci-valid``, from the others.

    Shape:  the images come with the checks that are wanted, none for all of them.
    """
    chosen: dict[str, frozenset[str]] = {}
    paths = []
    for argument in arguments:
        name, _, check = argument.partition("::")
        if name.startswith(_TRANSPORTS) and not os.path.exists(name):
            known = chosen.get(name)
            wanted = frozenset((check,)) if check else frozenset[str]()
            chosen[name] = frozenset() if not check or known == frozenset() else wanted | (known or frozenset())
        else:
            paths.append(argument)
    return chosen, paths


def image_subjects_of(definition: pytest.Item | pytest.Collector, settings: ImageSettings) -> list[ImageSubject]:
    """Return what a test is about: its marker's images, else the run's.

    Raises: pytest.Collector.CollectError for a marker that cannot be followed.
    """
    mark = definition.get_closest_marker(IMAGE_MARKER)
    if mark is None:
        return [ImageSubject(name, settings.platform) for name in settings.images]
    unknown = [name for name in mark.kwargs if name != "platform"]
    if unknown:
        raise pytest.Collector.CollectError(
            f"{definition.nodeid}: the marker {IMAGE_MARKER} takes platform, not {unknown[0]!r}"
        )
    platform = mark.kwargs.get("platform", settings.platform)
    names = [str(name) for name in mark.args] or list(settings.images)
    return [ImageSubject(name, str(platform) if platform is not None else None) for name in names]
