"""Build an image and push it: what a shared cache has goes from registry to registry, and never comes here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from kubeimage.api.backends import Backends
from kubeimage.api.distribution import push_image
from kubeimage.api.platforms import PlatformsResult, build_platforms
from kubeimage.builder.events import BuildFinished, Event, Observer
from kubeimage.builder.plan import BuildOptions
from kubeimage.errors import UsageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import Kubefile
from kubeimage.protocols.watching import ignore
from kubeimage.registry.events import TransferObserver
from kubeimage.store.passing import PassingImageStore


def build_and_push(
    kubefile: Kubefile,
    context: str,
    backends: Backends,
    *,
    platforms: Sequence[Platform] = (),
    options: BuildOptions | None = None,
    watch: TransferObserver = ignore,
    observe: Observer = ignore,
) -> PlatformsResult:
    """Build ``kubefile`` as ``build_platforms`` does, and push the image to where its names say.

    Shape:  where a shared cache has every step, no layer comes here, and this machine keeps no image. With a shared
            cache, a base image stays in its registry, and what is made on it is not kept here either.
            ``watch`` is told of what is sent.
    Raises: what ``build_platforms`` and ``push_image`` raise; UsageError for an image without a name.
    """
    options = options or BuildOptions()
    if not options.references:
        raise UsageError("an image without a name cannot be pushed", hint="name it: --tag HOST/REPOSITORY:TAG")
    if backends.sharing is not None and len(platforms) <= 1:
        # The images of several platforms are put together here, from layers that are here.
        backends = backends.sharing.leave_bases()
    images = _PushedImages(backends, watch)
    built = build_platforms(
        kubefile,
        context,
        replace(backends, images=images),
        platforms=platforms,
        options=options,
        observe=partial(_tell, observe, images),
    )
    if not images.is_pushed:
        for reference in options.references:
            push_image(reference, backends, observe=watch)
    return built


def _tell(observe: Observer, images: _PushedImages, event: Event) -> None:
    """Report that this machine has an image that was pushed from afar under no name."""
    if isinstance(event, BuildFinished) and images.is_pushed:
        event = replace(event, references=())
    observe(event)


class _PushedImages(PassingImageStore):
    """A store of images that pushes an image of which layers are away, and keeps nothing of it."""

    def __init__(self, backends: Backends, watch: TransferObserver) -> None:
        super().__init__(backends.images)
        self.is_pushed = False
        self._sharing = backends.sharing
        self._watch = watch

    def put(self, image: Image, references: Sequence[Reference] = ()) -> Digest:
        """Push an image of which layers are away; keep any other one.

        Raises: what pushing raises; what the store raises.
        """
        if self._sharing is not None and self._sharing.push_from_afar(image, references, self._watch):
            self.is_pushed = True
            return image.manifest_digest
        return super().put(image, references)


__all__ = ["build_and_push"]
