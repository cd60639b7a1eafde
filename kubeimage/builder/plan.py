"""A Kubefile, its base and the options, resolved into steps: pure, and done before any work.

Source: the project's design, "Execution" (steps 1 and 2) and "Layers" (the limit).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from kubeimage.builder.applications import with_applications
from kubeimage.builder.metadata import Metadata, sealer_metadata
from kubeimage.discovery.search import PullImages, Search
from kubeimage.errors import LayerLimitError, Location, PlatformMismatchError
from kubeimage.image.compatibility import DEFAULT_DIALECT, Dialect, history_comment
from kubeimage.image.config import CLUSTERFILE_ANNOTATION, DEFAULT_CLUSTERFILE, Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import MAX_LAYERS, Commands, History, Layer
from kubeimage.image.extension import Application, PackedImage, extension_annotations, read_images
from kubeimage.image.oci import ANNOTATION_BASE_DIGEST, ANNOTATION_BASE_NAME
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Naming, Reference
from kubeimage.kubefile import Arg, Copy, From, Instruction, Kubefile, Run, Scope, Visible, looks_secret
from kubeimage.protocols.cachekey import CacheKey, Fields
from kubeimage.protocols.context import CopyRequest
from kubeimage.protocols.running import Command, ImageRoot
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.builder.dockerscope import DockerScope

SCRATCH = "scratch"


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What a build is asked for beside its Kubefile and context.

    Shape: ``platform`` None means this machine's. ``keep_base`` False is ``--no-base``.
           ``keep_failed`` is a directory, not there yet, that gets the tree which a failed RUN left. ``pull`` says
           when the base image is fetched from its registry: where there is one to fetch from. ``naming`` completes
           the name that FROM says. ``pull_images`` says whether the container images that are named are packed, and
           when their registries are asked; ``search`` how they are found.
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
    pull_images: PullImages = "off"
    search: Search = Search()

    @property
    def target(self) -> Platform:
        """The platform to build for."""
        return self.platform or Platform.host()


@dataclass(frozen=True)
class Step:
    """One instruction behind FROM, with its inputs resolved.

    Shape: ``number`` counts from 1. Exactly one of ``copy``, ``run`` and ``directory`` is set where the step may make a
           layer; the last is a folder that must be there afterwards. ``application`` is the name of the one that
           ``copy`` brings the files of. ``origin`` are the layers of the image that ``copy`` takes from, where that is
           not the build context.
           ``given`` are the keys of an ARG that a build argument gives a value, in place of what is written.
    Units: ``mtime`` in seconds, of the entries that have no times of their own: SOURCE_DATE_EPOCH, or 0.
    """

    number: int
    instruction: Instruction
    copy: CopyRequest | None = None
    run: Command | None = None
    directory: str | None = None
    application: str | None = None
    origin: tuple[Digest, ...] | None = None
    mtime: int = 0
    given: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The instruction on one line."""
        return f"{self.instruction.keyword} {self.instruction.value}"

    @property
    def shown(self) -> str:
        """The instruction on one line, and what holds in place of an ARG's default; a secret's value is left out."""
        held = (f"{key}={'…' if looks_secret(key) else value}" for key, value in self.given)
        return f"{self.text} ({', '.join(held)} by --build-arg)" if self.given else self.text

    @property
    def location(self) -> Location:
        """Where it stands."""
        return self.instruction.span.location

    @property
    def makes_layer(self) -> bool:
        """Whether it may add a layer."""
        return self.copy is not None or self.run is not None or self.directory is not None

    def cache_fields(self) -> Fields:
        """What, beside the steps before and the sources, this step's result depends on."""
        if self.copy is not None:
            layers = [(f"from {number}", str(one)) for number, one in enumerate(self.origin or (), 1)]
            return (*_copy_fields(self.copy), *layers)
        if self.directory is not None:
            return (("kind", "WORKDIR"), ("directory", self.directory), ("timestamps", str(self.mtime)))
        assert self.run is not None
        network = "host" if self.run.network else "none"
        arguments = [(f"arg {name}", _readable(name, value)) for name, value in sorted(self.run.environment.items())]
        times = [("timestamps", str(self.mtime))] if self.mtime else []
        if self.run.image is not None:
            arguments += _image_fields(self.run.image)
        return (("kind", Run.keyword), ("command", self.run.script), ("network", network), *arguments, *times)


def _readable(name: str, value: str) -> str:
    """A cache record can be read by anybody who reads the store: a secret enters it as a digest."""
    return str(Digest.of(value.encode())) if looks_secret(name) else value


def _image_fields(image: ImageRoot) -> list[tuple[str, str]]:
    words = [(f"word {number}", word) for number, word in enumerate(image.argv, 1)]
    return [("root", "image"), ("directory", image.directory), ("user", ":".join(map(str, image.user))), *words]


def _copy_fields(request: CopyRequest) -> Fields:
    return (
        ("kind", Copy.keyword),
        *((f"source {number}", source) for number, source in enumerate(request.sources, 1)),
        ("destination", request.destination),
        ("exact", str(request.exact).lower()),
        ("chmod", "" if request.chmod is None else f"{request.chmod:o}"),
        *((("into", str(request.into).lower()),) if request.by_docker else ()),
        ("timestamps", "preserve" if request.mtime is None else str(request.mtime)),
    )


@dataclass(frozen=True)
class BuildPlan:
    """What a build will do."""

    kubefile: Kubefile
    base: Image | None
    base_name: str
    options: BuildOptions
    steps: tuple[Step, ...]
    metadata: Metadata
    notices: tuple[str, ...] = ()

    @property
    def first_key(self) -> CacheKey:
        """The cache key that all others stand on: the base's layers, in order, and the platform."""
        layers = self.base.layers if self.base is not None else ()
        fields = [("kind", From.keyword), ("dialect", self.dialect), ("platform", str(self.options.target))]
        fields += [(f"base layer {number}", str(layer.diff_id)) for number, layer in enumerate(layers, 1)]
        return CacheKey(None, tuple(fields))

    @property
    def base_layers(self) -> tuple[Layer, ...]:
        """The base's layers, lowest first."""
        return self.base.layers if self.base is not None else ()

    @property
    def room(self) -> int:
        """How many layers are left for what is packed, where every step makes one."""
        return MAX_LAYERS - len(self.base_layers) - sum(step.makes_layer for step in self.steps)

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
        metadata = with_applications(self.metadata, applications) if self.dialect == "sealer-0.9" else self.metadata
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

    def _base_annotations(self) -> dict[str, str]:
        """Say which image it stands on, by the name and by what that name meant when it was built.

        Source: OCI image-spec v1.1, annotations.md. In the manifest, not in the config: equal layers stay one image,
            however the base's were compressed when it came.
        """
        assert self.base is not None
        name = self.options.naming.parse(self.base_name)
        return {ANNOTATION_BASE_NAME: str(name), ANNOTATION_BASE_DIGEST: str(self.base.manifest_digest)}


def base_name(kubefile: Kubefile, options: BuildOptions) -> str:
    """Return what FROM names, with its ARGs expanded.

    Raises: BuildArgError, KubefileError.
    """
    return scope_of(kubefile, options).base_name


def scope_of(kubefile: Kubefile, options: BuildOptions) -> Scope | DockerScope:
    """Return the scope of a Kubefile's arguments, whichever dialect it is in.

    Raises: BuildArgError, KubefileError.
    """
    if kubefile.dialect != DEFAULT_DIALECT:
        from kubeimage.builder.dockerscope import DockerScope, base_of

        return DockerScope(kubefile, base_of(kubefile, options.build_args, options.target))
    return Scope.of(kubefile, options.build_args)


def make_plan(
    kubefile: Kubefile,
    base: Image | None,
    options: BuildOptions,
    scope: Scope | DockerScope | None = None,
    origins: Mapping[str, Image] = MappingProxyType({}),
) -> BuildPlan:
    """Resolve every instruction; ``scope`` is the Kubefile's with these options, where somebody has made it already.

    Raises: BuildArgError; KubefileError for an argument without a value; LayerLimitError, which says who spends how
        many layers; PlatformMismatchError for a base that is for another platform.
    """
    # Kubefiles after Docker's rules take from other images, too: ``origins`` has these by the names in --from.
    scope = scope or scope_of(kubefile, options)
    name = scope.base_name
    if base is not None and not options.target.accepts(base.platform):
        raise PlatformMismatchError(
            f"the base image {name} is for {base.platform}, not for {options.target}",
            location=kubefile.base.span.location,
        )
    _check_limit(kubefile, base, name, trailing=options.pull_images != "off")
    if not isinstance(scope, Scope):
        return _plan_by_docker(kubefile, base, name, options, origins)
    behind = [(one, visible) for one, visible in scope.walk() if one is not kubefile.base]
    steps = tuple(_make_step(number, one, visible, options) for number, (one, visible) in enumerate(behind, 1))
    metadata = sealer_metadata(base, kubefile.commands, scope.arguments, options.labels, keep_base=options.keep_base)
    return BuildPlan(kubefile, base, name, options, steps, metadata)


def _plan_by_docker(
    kubefile: Kubefile, base: Image | None, name: str, options: BuildOptions, origins: Mapping[str, Image]
) -> BuildPlan:
    from kubeimage.builder.dockerplan import Inputs, unfold

    mtime = None if options.timestamps == "preserve" else options.epoch or 0
    packs = options.pull_images != "off"
    inputs = Inputs(
        build_args=options.build_args,
        labels=options.labels,
        platform=options.target,
        mtime=mtime,
        keep_base=options.keep_base,
        packs=packs,
        network=options.network,
        timeout=options.timeout,
    )
    unfolded = unfold(kubefile, base, inputs)
    steps = tuple(
        Step(
            number,
            one.instruction,
            copy=one.copy,
            run=one.run,
            directory=one.directory,
            application=one.application,
            origin=_origin(one.instruction, origins),
            mtime=options.epoch or 0,
        )
        for number, one in enumerate(unfolded.steps, 1)
    )
    return BuildPlan(kubefile, base, name, options, steps, unfolded.metadata, unfolded.notices)


def _origin(one: Instruction, origins: Mapping[str, Image]) -> tuple[Digest, ...] | None:
    if not isinstance(one, Copy) or not one.origin:
        return None
    return tuple(layer.diff_id for layer in origins[one.origin].layers)


def _make_step(number: int, instruction: Instruction, visible: Visible, options: BuildOptions) -> Step:
    if isinstance(instruction, Copy):
        return Step(number, instruction, copy=_copy_request(instruction, visible, options), mtime=options.epoch or 0)
    if isinstance(instruction, Run):
        command = Command(instruction.command, visible.values, options.network, options.timeout)
        return Step(number, instruction, run=command, mtime=options.epoch or 0)
    if isinstance(instruction, Arg):
        pairs = ((key, options.build_args.get(key)) for key, _ in instruction.pairs)
        return Step(number, instruction, given=tuple((key, value) for key, value in pairs if value is not None))
    return Step(number, instruction)


def _copy_request(copy: Copy, visible: Visible, options: BuildOptions) -> CopyRequest:
    expanded = visible.expand_copy(copy, options.target.architecture)
    mtime = None if options.timestamps == "preserve" else options.epoch or 0
    return CopyRequest(expanded.sources, expanded.destination, expanded.exact, expanded.chmod, mtime)


def _check_limit(kubefile: Kubefile, base: Image | None, name: str, *, trailing: bool) -> None:
    wanted = kubefile.layered
    below = len(base.layers) if base is not None else 0
    total = below + len(wanted) + trailing
    if total <= MAX_LAYERS:
        return
    copies = sum(isinstance(one, Copy) for one in wanted)
    first_over = wanted[min(max(MAX_LAYERS - trailing - below, 0), len(wanted) - 1)] if wanted else kubefile.base
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
