"""A Kubefile, its base and the options, resolved into steps: pure, and done before any work.

Source: the project's design, "Execution" (steps 1 and 2) and "Layers" (the limit).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kubeimage.cachekey import CacheKey, Fields
from kubeimage.errors import BaseImageError, LayerLimitError, Location
from kubeimage.image.config import APPLICATION, CLUSTERFILE_ANNOTATION, DEFAULT_CLUSTERFILE, Image
from kubeimage.image.document import (
    MAX_LAYERS,
    Arguments,
    Commands,
    History,
    Layer,
    inherited_arguments,
    inherited_commands,
)
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import Cmd, Copy, From, Instruction, Kubefile, Run, Scope
from kubeimage.protocols import Command, CopyRequest

SCRATCH = "scratch"
ARCH = "ARCH"


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What a build is asked for beside its Kubefile and context.

    Shape: ``platform`` None means this machine's. ``keep_base`` False is ``--no-base``.
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

    @property
    def target(self) -> Platform:
        """The platform to build for."""
        return self.platform or Platform.host()


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction behind FROM, with its inputs resolved.

    Shape: ``number`` counts from 1. Exactly one of ``copy`` and ``run`` is set where the step may make a layer.
           ``arguments`` are the ARG values that a RUN sees.
    """

    number: int
    instruction: Instruction
    copy: CopyRequest | None = None
    run: Command | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The instruction on one line."""
        return f"{self.instruction.keyword} {self.instruction.value}"

    @property
    def location(self) -> Location:
        """Where it stands."""
        return self.instruction.span.location

    @property
    def makes_layer(self) -> bool:
        """Whether it may add a layer."""
        return self.copy is not None or self.run is not None

    def cache_fields(self) -> Fields:
        """What, beside the steps before and the sources, this step's result depends on."""
        if self.copy is not None:
            return _copy_fields(self.copy)
        assert self.run is not None
        network = "host" if self.run.network else "none"
        arguments = [(f"arg {name}", value) for name, value in sorted(self.run.environment.items())]
        return (("kind", Run.keyword), ("command", self.run.script), ("network", network), *arguments)


def _copy_fields(request: CopyRequest) -> Fields:
    return (
        ("kind", Copy.keyword),
        *((f"source {number}", source) for number, source in enumerate(request.sources, 1)),
        ("destination", request.destination),
        ("exact", str(request.exact).lower()),
        ("chmod", "" if request.chmod is None else f"{request.chmod:o}"),
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
    arguments: Mapping[str, str]

    @property
    def first_key(self) -> CacheKey:
        """The cache key that all others stand on: the base's layers, in order, and the platform."""
        layers = self.base.layers if self.base is not None else ()
        fields = [("platform", str(self.options.target))]
        fields += [(f"base layer {number}", str(layer.diff_id)) for number, layer in enumerate(layers, 1)]
        return CacheKey(None, tuple(fields))

    @property
    def base_layers(self) -> tuple[Layer, ...]:
        """The base's layers, lowest first."""
        return self.base.layers if self.base is not None else ()

    @property
    def commands(self) -> Commands:
        """The image's commands."""
        current = tuple(
            command for step in self.steps if isinstance(step.instruction, Cmd) for command in step.instruction.commands
        )
        return Commands(inherited_commands(self.base) if self.options.keep_base else (), current)

    def compose(self, made: tuple[Layer, ...], history: tuple[History, ...]) -> Image:
        """Put together the image from the layers that the steps made."""
        base, options = self.base, self.options
        keep = base if options.keep_base else None
        annotations = dict(base.annotations) if base is not None else {}
        annotations.setdefault(CLUSTERFILE_ANNOTATION, DEFAULT_CLUSTERFILE)
        return Image(
            platform=options.target,
            layers=(*(keep.layers if keep else ()), *made),
            history=(*(keep.history if keep else ()), *history),
            cmd=self.commands,
            args=Arguments(inherited_arguments(keep), self.arguments),
            labels={**(base.labels if base is not None else {}), **options.labels},
            annotations=annotations,
            image_type=(base.image_type if base is not None else "") if options.keep_base else APPLICATION,
            created=_rfc3339(options.epoch) if options.epoch is not None else None,
        )


def base_name(kubefile: Kubefile, options: BuildOptions) -> str:
    """Give what FROM names, with its ARGs expanded.

    Raises: BuildArgError, KubefileError.
    """
    scope = Scope.of(kubefile, options.build_args)
    return scope.expand(kubefile.base, kubefile.base.name)


def make_plan(kubefile: Kubefile, base: Image | None, options: BuildOptions) -> BuildPlan:
    """Resolve every instruction.

    Raises: BuildArgError; KubefileError for an argument without a value; LayerLimitError, which says who spends how
        many layers; BaseImageError for a base that is for another platform.
    """
    scope = Scope.of(kubefile, options.build_args)
    name = scope.expand(kubefile.base, kubefile.base.name)
    _check_limit(kubefile, base, name)
    if base is not None and not options.target.matches(base.platform):
        raise BaseImageError(f"the base image {name} is for {base.platform}, not for {options.target}")
    behind = [instruction for instruction in kubefile.instructions if not isinstance(instruction, From)]
    steps = tuple(_make_step(number, one, scope, options) for number, one in enumerate(behind, 1))
    return BuildPlan(kubefile, base, name, options, steps, scope.final)


def _make_step(number: int, instruction: Instruction, scope: Scope, options: BuildOptions) -> Step:
    if isinstance(instruction, Copy):
        return Step(number, instruction, copy=_copy_request(instruction, scope, options))
    if isinstance(instruction, Run):
        arguments = scope.visible(instruction)
        command = Command(instruction.command, arguments, options.network, options.timeout)
        return Step(number, instruction, run=command)
    return Step(number, instruction)


def _copy_request(copy: Copy, scope: Scope, options: BuildOptions) -> CopyRequest:
    arch = {ARCH: options.target.architecture}
    return CopyRequest(
        sources=tuple(scope.expand(copy, source, arch) for source in copy.sources),
        destination=scope.expand(copy, copy.destination, arch),
        exact=copy.exact,
        chmod=copy.chmod,
        mtime=None if options.timestamps == "preserve" else options.epoch or 0,
    )


def _check_limit(kubefile: Kubefile, base: Image | None, name: str) -> None:
    wanted = [one for one in kubefile.instructions if isinstance(one, Copy | Run)]
    below = len(base.layers) if base is not None else 0
    if below + len(wanted) <= MAX_LAYERS:
        return
    copies = sum(isinstance(one, Copy) for one in wanted)
    first_over = wanted[max(MAX_LAYERS - below, 0)]
    raise LayerLimitError(
        f"an image has at most {MAX_LAYERS} layers, and this one would have {below + len(wanted)}: "
        f"{below} of the base {name}, {copies} of COPY, {len(wanted) - copies} of RUN",
        location=first_over.span.location,
        hint="copy several sources in one COPY, or join commands of several RUNs with &&",
    )


def _rfc3339(epoch: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
