"""A Kubefile, its base and the options, resolved into steps: pure, and done before any work.

Source: the project's design, "Execution" (steps 1 and 2) and "Layers" (the limit).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from kubeimage.builder.metadata import Metadata
from kubeimage.builder.step import Step
from kubeimage.discovery.search import PullImages, Search
from kubeimage.errors import LayerLimitError, PlatformMismatchError
from kubeimage.image.compatibility import Dialect, history_comment
from kubeimage.image.config import CLUSTERFILE_ANNOTATION, DEFAULT_CLUSTERFILE, Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import MAX_LAYERS, Commands, History, Layer
from kubeimage.image.extension import Application, PackedImage, extension_annotations, read_images
from kubeimage.image.oci import ANNOTATION_BASE_DIGEST, ANNOTATION_BASE_NAME
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Naming, Reference
from kubeimage.kubefile import Copy, From, Instruction, Kubefile
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.image.referrers import ReferrerChoice
    from kubeimage.lock.lockfile import Lock

SCRATCH = "scratch"


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What a build is asked for beside its Kubefile and context.

    Shape: ``platform`` None means this machine's. ``keep_base`` False is ``--no-base``.
           ``keep_failed`` is a directory, not there yet, that gets the tree which a failed RUN left. ``pull`` says
           when the base image is fetched from its registry: where there is one to fetch from. ``naming`` completes
           the name that FROM says. ``stage`` is the name or the number of the stage to build; None is the last one.
           ``pull_images`` says whether the container images that are named are packed, and
           when their registries are asked; ``search`` how they are found. ``referrers`` are what is packed of all that
           refers to them; None is as the settings say, or nothing.
           With a ``lock`` nothing else is used than what it says.
           ``secrets`` are the values that RUNs may be shown, by their ids.
    Units: ``epoch`` is SOURCE_DATE_EPOCH in seconds, or None; ``timeout`` is seconds for each RUN, or None.
    """

    references: tuple[Reference, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    use_cache: bool = True
    keep_base: bool = True
    network: bool = True
    timestamps: Literal["epoch", "preserve"] = "epoch"
    epoch: int | None = None
    timeout: float | None = None
    keep_failed: str | None = None
    pull: Literal["missing", "always", "never"] = "missing"
    naming: Naming = Naming()
    stage: str | None = None
    pull_images: PullImages = "off"
    search: Search = Search()
    referrers: ReferrerChoice | None = None
    lock: Lock | None = None
    secrets: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    @property
    def target(self) -> Platform:
        """The platform to build for."""
        return self.platform or Platform.host()


@dataclass(frozen=True)
class StagePlan:
    """What a stage will do.

    Shape: ``number`` counts from 0, in the whole file. ``base`` is the image that FROM names; it is None for scratch,
           and where ``below`` is the number of the stage that FROM names instead.
    """

    number: int
    name: str
    base: Image | None
    base_name: str
    platform: Platform
    steps: tuple[Step, ...]
    below: int | None = None

    @property
    def base_layers(self) -> tuple[Layer, ...]:
        """The base's layers, lowest first."""
        return self.base.layers if self.base is not None else ()

    def first_key(self, dialect: Dialect, below: Digest | None = None, layers: Sequence[Digest] = ()) -> CacheKey:
        """Return the cache key that all others of the stage stand on: the layers below, in order, and the platform.

        Shape: ``below`` and ``layers`` are the last key and the layers of the stage that FROM names, once it is built.
        """
        below_it = layers if below is not None else [layer.diff_id for layer in self.base_layers]
        fields = [("kind", From.keyword), ("dialect", dialect), ("platform", str(self.platform))]
        fields += [("stage", str(below))] if below is not None else []
        fields += [(f"base layer {number}", str(layer)) for number, layer in enumerate(below_it, 1)]
        return CacheKey(None, tuple(fields))


@dataclass(frozen=True)
class BuildPlan:
    """What a build will do.

    Shape: ``stages`` are those that are needed, in the file's order; the last one is the image.
    """

    kubefile: Kubefile
    options: BuildOptions
    stages: tuple[StagePlan, ...]
    metadata: Metadata
    notices: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all stages, in the file's order."""
        return tuple(step for stage in self.stages for step in stage.steps)

    @cached_property
    def bottom(self) -> StagePlan:
        """The stage that the image stands on, down all FROMs that name a stage."""
        known = {stage.number: stage for stage in self.stages}
        lowest = self.stages[-1]
        while lowest.below is not None:
            lowest = known[lowest.below]
        return lowest

    @property
    def base(self) -> Image | None:
        """The image that all of it stands on, None for scratch."""
        return self.bottom.base

    @property
    def base_name(self) -> str:
        """What the FROM at the bottom names."""
        return self.bottom.base_name

    @property
    def first_key(self) -> CacheKey:
        """The cache key that all others of the image stand on."""
        return self.bottom.first_key(self.dialect)

    @property
    def base_layers(self) -> tuple[Layer, ...]:
        """The base's layers, lowest first."""
        return self.bottom.base_layers

    @property
    def room(self) -> int:
        """How many layers are left for what is packed, where every step makes one."""
        return MAX_LAYERS - len(self.base_layers) - sum(step.makes_layer for step in self.steps if step.of_image)

    @property
    def comment(self) -> str:
        """What the image's history says of the rules that it was made by."""
        return history_comment(self.dialect)

    @property
    def dialect(self) -> Dialect:
        """The dialect that the Kubefile was read in."""
        return self.kubefile.dialect

    @property
    def commands(self) -> Commands:
        """The image's commands."""
        return self.metadata.cmd

    @property
    def arguments(self) -> Mapping[str, str]:
        """The value of each of this Kubefile's arguments."""
        return self.metadata.args.current

    @property
    def _kept(self) -> Image | None:
        """The base, where the image stands on it."""
        return self.base if self.options.keep_base else None

    def compose(
        self,
        made: tuple[Layer, ...],
        history: tuple[History, ...],
        packed: Iterable[PackedImage] = (),
        applications: Sequence[Application] = (),
    ) -> Image:
        """Put together the image from what the steps made: layers, container images packed in them, applications."""
        base, options = self.base, self.options
        metadata = self._with_applications(applications) if self.dialect == "sealer-0.9" else self.metadata
        keep = self._kept
        annotations = dict(base.annotations) if base is not None else {}
        annotations.setdefault(CLUSTERFILE_ANNOTATION, DEFAULT_CLUSTERFILE)
        inherited = read_images(keep.manifest_annotations) if keep is not None else []
        return Image(
            platform=options.target,
            layers=(*(keep.layers if keep else ()), *made),
            history=(*(keep.history if keep else ()), *history),
            cmd=metadata.cmd,
            args=metadata.args,
            labels=metadata.labels,
            annotations=annotations,
            image_type=metadata.image_type,
            created=rfc3339(options.epoch) if options.epoch is not None else None,
            runtime=metadata.runtime,
            author=metadata.author,
            manifest_annotations={
                **(self._base_annotations() if keep else {}),
                **extension_annotations(metadata.extension, [*inherited, *packed]),
            },
        )

    def _with_applications(self, applications: Sequence[Application]) -> Metadata:
        from kubeimage.builder.applications import with_applications

        return with_applications(self.metadata, applications)

    def _base_annotations(self) -> dict[str, str]:
        """Say which image it stands on, by the name and by what that name meant when it was built.

        Source: OCI image-spec v1.1, annotations.md. In the manifest, not in the config: equal layers stay one image,
            however the base's were compressed when it came.
        """
        assert self.base is not None
        name = self.options.naming.parse(self.base_name)
        return {ANNOTATION_BASE_NAME: str(name), ANNOTATION_BASE_DIGEST: str(self.base.manifest_digest)}


def check_base(base: Image | None, name: str, target: Platform, one: From) -> None:
    """Find out whether a base is for the platform.

    Raises: PlatformMismatchError, with FROM's place.
    """
    if base is not None and not target.accepts(base.platform):
        message = f"the base image {name} is for {base.platform}, not for {target}"
        raise PlatformMismatchError(message, location=one.span.location)


def check_limit(base: Image | None, name: str, wanted: Sequence[Instruction], one: From, *, trailing: bool) -> None:
    """Find out before any work whether an image has more layers than it may; ``one`` is the FROM of its base.

    Raises: LayerLimitError, with the place of the first that is one too many.
    """
    below = len(base.layers) if base is not None else 0
    total = below + len(wanted) + trailing
    if total <= MAX_LAYERS:
        return
    copies = sum(isinstance(one, Copy) for one in wanted)
    first_over = wanted[min(max(MAX_LAYERS - trailing - below, 0), len(wanted) - 1)] if wanted else one
    packed = ", 1 of the packed images" if trailing else ""
    raise LayerLimitError(
        f"an image has at most {MAX_LAYERS} layers, and this one would have {total}: "
        f"{below} of the base {name}, {copies} of COPY, {len(wanted) - copies} of RUN{packed}",
        location=first_over.span.location,
        hint="copy several sources in one COPY, or join commands of several RUNs with &&",
    )


def rfc3339(epoch: int) -> str:
    """Write seconds since 1970 as image-spec writes times."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
