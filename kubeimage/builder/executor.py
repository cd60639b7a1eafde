"""The loop over a plan's steps: the only mutable state of a build, and nothing but protocols around it.

The executor opens no file, mounts nothing and runs no process itself.

Source: the project's design, "Execution": cache hits are a prefix; after the first miss nothing later may hit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from kubeimage.builder.events import (
    BuildFinished,
    BuildStarted,
    ImagesLeftOut,
    Observer,
    PackingFinished,
    PackingStarted,
    StageStarted,
    StepFinished,
    Warned,
)
from kubeimage.builder.plan import BuildPlan, StagePlan
from kubeimage.builder.stagebuild import Parts, Shared, StageBuild
from kubeimage.errors import KubeimageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import PACKED_KIND, PACKED_VALUE, History, Layer
from kubeimage.image.extension import PackedImage
from kubeimage.image.platform import Platform
from kubeimage.protocols.packing import PackRequest
from kubeimage.protocols.watching import ignore
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.protocols.packing import ImagePacker
    from kubeimage.protocols.running import CommandRunner


@dataclass(frozen=True)
class BuildResult:
    """A finished build.

    Shape: ``steps`` are those of all stages that were needed, by their numbers.
    Units: ``seconds`` of wall clock, which make no difference to equality.
    """

    image: Image
    manifest: Digest
    steps: tuple[StepFinished, ...]
    warnings: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def cache_hits(self) -> int:
        """How many steps the cache had."""
        return sum(result.cached for result in self.steps)

    @property
    def cache_misses(self) -> int:
        """How many COPY and RUN steps had to be done."""
        return sum(result.step.makes_layer and not result.cached for result in self.steps)

    def why_missed(self, step: int) -> str | None:
        """Say why step number ``step`` (from 1) was not in the cache; None where it was."""
        return self.steps[step - 1].why_missed


def execute(plan: BuildPlan, parts: Parts, observe: Observer = ignore) -> BuildResult:
    """Do what ``plan`` says, and put the image into the store: its only commit point.

    Raises: any KubeimageError of a step, with the step's place in the Kubefile.
    """
    check_runs(plan, parts.runner)
    build = _Build(plan, parts, observe)
    image = build.run()
    manifest = parts.images.put(image, plan.options.references)
    return build.finish(image, manifest)


def execute_all(
    plans: Sequence[BuildPlan], parts: Parts, observe: Observer = ignore
) -> tuple[Digest, tuple[BuildResult, ...]]:
    """Do what ``plans`` for several platforms say, and put all images into the store at once, as one index, or none.

    Raises: any KubeimageError of a step, with the step's place in the Kubefile.
    """
    for plan in plans:
        check_runs(plan, parts.runner)
    builds = [_Build(plan, parts, observe) for plan in plans]
    images = [build.run() for build in builds]
    index = parts.images.put_index(images, plans[0].options.references)
    return index, tuple(build.finish(image, image.manifest_digest) for build, image in zip(builds, images, strict=True))


def make_layers(plan: BuildPlan, parts: Parts, observe: Observer = ignore) -> Image:
    """Do what ``plan`` says and show nothing of it: the layers are in the store for a build that does the same.

    Raises: any KubeimageError of a step, with the step's place in the Kubefile.
    """
    check_runs(plan, parts.runner)
    return _Build(plan, parts, observe).run()


def check_runs(plan: BuildPlan, runner: CommandRunner) -> None:
    """Find out before any work whether the RUNs of a plan can run here.

    Raises: PlatformMismatchError, with the place of the first RUN.
    """
    for stage in plan.stages:
        first = next((step for step in stage.steps if step.run is not None), None)
        if first is None or Platform.host().runs(stage.platform):
            continue
        try:
            runner.check_platform(stage.platform)
        except KubeimageError as error:
            error.location = first.location
            raise


class _Build:
    """A build: its stages, and the image that they come to."""

    def __init__(self, plan: BuildPlan, parts: Parts, observe: Observer) -> None:
        self.started = monotonic()
        self.plan = plan
        self.parts = parts
        self.observe = observe
        self.warnings: list[str] = []
        self.results: list[StepFinished] = []

    def run(self) -> Image:
        plan = self.plan
        base_digest = plan.base.manifest_digest if plan.base is not None else None
        self.observe(BuildStarted(len(plan.steps), plan.base_name, len(plan.base_layers), base_digest, plan.dialect))
        for notice in plan.notices:
            self._warn(notice)
        built = self._stages()
        for stage in built.values():
            self.warnings += stage.warnings
            self.results += stage.results
        self._warn_swallowed_commands()
        return self._compose(built[plan.stages[-1].number])

    def _stages(self) -> dict[int, StageBuild]:
        """Build the stages, those that do not wait for each other side by side."""
        stages = self.plan.stages
        if len(stages) == 1:
            alone = StageBuild(stages[0], Shared(self.plan, self.parts, self.observe), {})
            return {stages[0].number: alone.run()}
        from kubeimage.builder.parallel import Together, run_in_order

        with Together(self.observe) as together:
            runner, roots = together.lend_turn(self.parts.runner), together.lend_turn_of(self.parts.roots)
            parts = replace(self.parts, runner=runner, roots=roots)
            shared = Shared(self.plan, parts, together.tell, together.turn)

            def build(stage: StagePlan, others: Mapping[int, StageBuild]) -> StageBuild:
                together.tell(StageStarted(stage.name, stage.base_name, len(stage.base_layers)))
                return StageBuild(stage, shared, others).run()

            return run_in_order({stage.number: partial(build, stage) for stage in stages}, together)

    def _compose(self, stage: StageBuild) -> Image:
        """Pack what the image names, and put the image together."""
        plan = self.plan
        of_image = [result for result in self.results if result.step.of_image]
        made = [result.layer for result in of_image if result.layer is not None]
        comment = plan.comment
        history = [History(one.step.text, one.layer is None, comment) for one in of_image]
        layers, names = self._pack(self.parts.packer, stage) if self.parts.packer is not None else ((), ())
        made += layers
        history += [History(f"{layer.kind} {layer.value}", comment=comment) for layer in layers]
        packed = [PackedImage(name, plan.options.target) for name in names]
        return plan.compose(tuple(made), tuple(history), packed, stage.applications)

    def finish(self, image: Image, manifest: Digest) -> BuildResult:
        names = tuple(str(reference) for reference in self.plan.options.references)
        seconds = monotonic() - self.started
        self.observe(BuildFinished(image, manifest, names, seconds))
        return BuildResult(image, manifest, tuple(self.results), tuple(self.warnings), seconds)

    def _pack(self, packer: ImagePacker, stage: StageBuild) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
        """Pack the container images that the new layers name; return the layers that hold them, and their names."""
        options = self.plan.options
        packing, started = options.pull_images != "off", monotonic()
        if packing:
            self.observe(PackingStarted())
        packed = packer.pack(self._pack_request(stage))
        for message in packed.warnings:
            self._warn(message)
        layers = tuple(
            Layer(one.layer.diff_id, one.layer.size, PACKED_KIND, f"{PACKED_VALUE} {one.name}") for one in packed.layers
        )
        if packing:
            seconds = monotonic() - started
            self.observe(PackingFinished(packed.images, layers, packed.cached, packed.skipped, seconds))
        elif packed.left_out or packed.charts:
            self.observe(ImagesLeftOut(packed.left_out, packed.charts))
        return layers, packed.images

    def _pack_request(self, stage: StageBuild) -> PackRequest:
        options = self.plan.options
        base = tuple(layer.diff_id for layer in self.plan.base_layers)
        return PackRequest(
            base,
            tuple(stage.rootfs.layers[len(base) :]),
            options.target,
            options.epoch or 0,
            use_cache=options.use_cache,
            keep_base=options.keep_base,
            room=self.plan.room,
        )

    def _warn(self, message: str) -> None:
        self.warnings.append(message)
        self.observe(Warned(message))

    def _warn_swallowed_commands(self) -> None:
        for command in self.plan.commands.swallowed:
            self._warn(f"CMD {command!r} will not run again: the base image has it already")
