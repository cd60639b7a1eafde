"""Whole operations on the container images of an application: which are named, and whether what is packed is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from kubeimage.api.backends import Backends
from kubeimage.api.finding import ImageName, find_image
from kubeimage.builder.plan import BuildOptions
from kubeimage.builder.planning import make_plan
from kubeimage.context import ContextCollector
from kubeimage.discovery.finder import find_images
from kubeimage.discovery.findings import Findings, Found, Skipped, Unreadable, joined
from kubeimage.discovery.search import Search
from kubeimage.errors import ContextError
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import Kubefile
from kubeimage.layer.entry import directory
from kubeimage.layer.stack import LayerReader, StackedLayer
from kubeimage.packing.closure import Flaw, find_flaws, find_stand_ins
from kubeimage.packing.files import ContextFiles, FolderFiles, LayerFiles
from kubeimage.packing.naming import read_named
from kubeimage.packing.search import choose_renderer
from kubeimage.protocols.watching import ignore
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.builder.step import Step
    from kubeimage.layer.entry import Entry
    from kubeimage.rehearsal.outcome import Rehearsal, RehearsedImage


def images_of_context(kubefile: Kubefile, context: str, *, options: BuildOptions | None = None) -> Findings:
    """Return the images that a build context names, without building: what a RUN would change is not seen.

    Raises: KubefileError, BuildArgError, ContextError; DiscoveryError.
    """
    options = options or BuildOptions()
    collector = ContextCollector(context)
    plan = make_plan(kubefile, None, options)
    files = ContextFiles(entry for step in plan.steps for entry in _copied(step, collector))
    search = options.search.of_kubefile(kubefile.commands, kubefile.dialect)
    findings = find_images(files, search, choose_renderer()[1])
    if not search.whole_context:
        return findings
    return joined(findings, find_images(FolderFiles(context, search.places), search, choose_renderer()[1]))


def images_of_image(
    name: ImageName, backends: Backends, *, platform: Platform | None = None, search: Search | None = None
) -> Findings:
    """Return the images that all layers of an image name.

    Raises: UsageError for backends that were opened to look; ImageNotFoundError; DiscoveryError, StoreError.
    """
    backends.require("read")
    image, _ = find_image(name, backends, platform=platform)
    return find_images(_files_of(image, backends.contents_of(image)), search or Search(), choose_renderer()[1])


@dataclass(frozen=True)
class Verification:
    """What the proof says.

    Shape: ``images`` are those that had to be whole. ``unreadable`` stands where images are certainly named, and names
           none; ``skipped`` reads as a name and is not packed; ``warnings`` are of files that cannot be read.
           ``untrusted`` is what the policy of the settings has against the image and those that are packed in it.
           ``found`` says where names stand. Charts that were not rendered again have no part in it: ``known_charts``
           tells whether there are any.
    """

    images: tuple[Reference, ...]
    flaws: tuple[Flaw, ...]
    unreadable: tuple[Unreadable, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    found: tuple[Found, ...] = ()
    known_charts: bool = False
    untrusted: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing that is named is missing."""
        return not (self.flaws or self.unreadable)

    @property
    def holds(self) -> bool:
        """Whether nothing is missing, and the policy takes all of it."""
        return self.is_whole and not self.untrusted


def verify_image(name: ImageName, backends: Backends, *, platform: Platform | None = None) -> Verification:
    """Prove that every container image that an image names or has packed is whole in it.

    Charts that were searched when they were packed are not rendered again: what they name is recorded.
    Raises: UsageError for backends that were opened to look; ImageNotFoundError; DiscoveryError, PackingError,
            StoreError.
    """
    backends.require("read")
    image, reference = find_image(name, backends, platform=platform)
    files = _files_of(image, backends.contents_of(image))
    named = read_named(files, _kinds(backends))
    findings, recorded = named.findings, named.record.images
    flaws = (*find_flaws(files, named.wanted, image.platform), *find_stand_ins(findings.images, recorded))
    images = tuple(sorted(named.wanted, key=str))
    return Verification(
        images,
        flaws,
        findings.unreadable,
        named.skipped,
        findings.warnings,
        findings.found,
        known_charts=bool(named.record.charts),
        untrusted=_find_untrusted(image, reference, files, backends) if backends.trust else (),
    )


def rehearse_image(
    name: ImageName,
    backends: Backends,
    *,
    platform: Platform | None = None,
    observe: Callable[[RehearsedImage], object] = ignore,
) -> Rehearsal:
    """Serve what an image has packed, and pull every container image that it names as a node without internet would.

    ``observe`` is told of each as it ends.
    Raises: UsageError for backends that were opened to look; ImageNotFoundError; DiscoveryError, PackingError;
            StoreError, LayerError.
    """
    from kubeimage.rehearsal.rehearse import rehearse

    backends.require("read")
    image, _ = find_image(name, backends, platform=platform)
    contents = backends.contents_of(image)
    files = _files_of(image, contents)
    return rehearse(read_named(files, _kinds(backends)), files, contents, image.platform, observe)


def _find_untrusted(
    image: Image, reference: Reference | None, files: LayerFiles, backends: Backends
) -> tuple[str, ...]:
    from kubeimage.api.trusting import find_untrusted

    return find_untrusted(image, reference, files, backends)


def _kinds(backends: Backends) -> tuple[bytes, ...]:
    return backends.settings.read_image_kinds() if backends.settings is not None else ()


def _copied(step: Step, collector: ContextCollector) -> Iterable[Entry]:
    if step.copy is None:
        return ()
    try:
        collected = collector.collect(step.copy)
    except ContextError as error:
        error.location = error.location or step.location
        raise
    return [*(directory(path) for path in collected.directories if path), *collected.entries]


def _files_of(image: Image, layers: LayerReader) -> LayerFiles:
    return LayerFiles(layers, [StackedLayer(layer.diff_id) for layer in image.layers])


__all__ = ["Verification", "images_of_context", "images_of_image", "rehearse_image", "verify_image"]
