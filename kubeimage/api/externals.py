"""What a Kubefile takes from elsewhere: images and files of the web, found without fetching any."""

from __future__ import annotations

from typing import Literal

from kubeimage.builder.plan import SCRATCH, BuildOptions
from kubeimage.builder.planning import make_plan, scope_of
from kubeimage.errors import Location
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.kubefile import Kubefile, Scope
from kubeimage.values import dataclass


@dataclass(frozen=True)
class ExternalSource:
    """An image or a file that a build fetches.

    Shape: ``name`` is an image's name as it is written, with its variables' values, or a URL. ``platform`` is which
           image is wanted, None for a file. ``checksum`` is what a file must have, None where nobody says it.
    """

    kind: Literal["image", "url"]
    name: str
    location: Location
    platform: Platform | None = None
    checksum: Digest | None = None


def external_sources(kubefile: Kubefile, *, options: BuildOptions | None = None) -> tuple[ExternalSource, ...]:
    """Return what a build with ``options`` fetches: bases, images that COPY takes from, and URLs, each once.

    Shape:  images come first, both in the order of the file. Stages that are not needed fetch nothing.
    Raises: BuildArgError, KubefileError; UsageError for a stage that is not there.
    """
    options = options or BuildOptions()
    scope = scope_of(kubefile, options)
    found: dict[tuple[str, Platform | None], ExternalSource] = {}
    if isinstance(scope, Scope):
        if scope.base_name != SCRATCH:
            location = kubefile.base.span.location
            return (ExternalSource("image", scope.base_name, location, options.target),)
        return ()
    for outside, one in scope.outside.items():
        source = ExternalSource("image", outside.name, one.span.location, outside.platform)
        found[outside.name, outside.platform] = source
    for step in make_plan(kubefile, None, options, scope).steps:
        for remote in step.copy.remotes if step.copy is not None else ():
            source = ExternalSource("url", remote.url, step.location, checksum=remote.checksum)
            found.setdefault((remote.url, None), source)
    return tuple(found.values())


__all__ = ["ExternalSource", "external_sources"]
