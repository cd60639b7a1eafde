"""A Kubefile after Docker's rules, planned: the stages that are needed, each with its steps.

Source: moby's Dockerfile reference, "Multi-stage builds"; the project's design, "Dialects and runners".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kubeimage.builder.dockerplan import Inputs, Resolved, UnfoldedStage
from kubeimage.builder.dockerscope import DockerScope, Outside, ScopedStage
from kubeimage.builder.plan import BuildOptions, BuildPlan, StagePlan, check_base, check_limit
from kubeimage.builder.step import Step, StepMount
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.kubefile import Arg, Copy, Instruction

# Build arguments that need no ARG, as in Docker.
_PREDEFINED = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"})


def plan_stages(scope: DockerScope, images: Mapping[Outside, Image], options: BuildOptions) -> BuildPlan:
    """Resolve every instruction of the stages that are needed; an image that is not among ``images`` counts as empty.

    Raises: as `kubeimage.builder.plan.make_plan` does.
    """
    planner = _Planner(scope, images, options)
    inputs = _inputs(options)
    unfolded: dict[int, UnfoldedStage] = {}
    for scoped in scope.stages:
        base = planner.base_of(scoped)
        below = unfolded[scoped.below] if scoped.below is not None else base
        found = unfolded[scoped.stage.number] = UnfoldedStage(scope.kubefile, scoped.stage, below, inputs)
        planner.add(scoped, base, found)
    metadata = unfolded[scope.stages[-1].stage.number].metadata()
    return BuildPlan(scope.kubefile, options, tuple(planner.plans), metadata, tuple(_unused(scope)))


class _Planner:
    """Gathers the plans of stages, whose steps are counted through."""

    def __init__(self, scope: DockerScope, images: Mapping[Outside, Image], options: BuildOptions) -> None:
        self._scope = scope
        self._images = images
        self._options = options
        self._known = {one.stage.number: one for one in scope.stages}
        self._of_image = {one.stage.number for one in self._chain(scope.stages[-1])}
        self._count = 0
        self._layered: dict[int, list[Instruction]] = {}
        self.plans: list[StagePlan] = []

    def base_of(self, scoped: ScopedStage) -> Image | None:
        """Return the image that FROM names, None for scratch and for a stage.

        Raises: PlatformMismatchError.
        """
        base = self._images.get(scoped.outside) if scoped.below is None else None
        check_base(base, scoped.base_name, scoped.platform, scoped.stage.base)
        return base

    def add(self, scoped: ScopedStage, base: Image | None, unfolded: UnfoldedStage) -> None:
        """Take in the steps of a stage.

        Raises: LayerLimitError for a stage with more layers than an image may have.
        """
        steps = tuple(self._step(at, one, scoped) for at, one in enumerate(unfolded.steps, self._count + 1))
        self._count += len(steps)
        stage = scoped.stage
        below = self._layered[scoped.below] if scoped.below is not None else []
        wanted = [*below, *(one.instruction for one in unfolded.steps if one.makes_layer)]
        self._layered[stage.number] = wanted
        *_, lowest = self._chain(scoped)
        trailing = scoped is self._scope.stages[-1] and self._options.pull_images != "off"
        lowest_base = self._images.get(lowest.outside)
        check_limit(lowest_base, lowest.base_name, wanted, lowest.stage.base, trailing=trailing)
        self.plans.append(
            StagePlan(stage.number, stage.name, base, scoped.base_name, scoped.platform, steps, scoped.below)
        )

    def _step(self, number: int, one: Resolved, scoped: ScopedStage) -> Step:
        origin = one.instruction.origin if isinstance(one.instruction, Copy) else ""
        taken = self._scope.stage_of(origin) if origin else None
        return Step(
            number,
            one.instruction,
            copy=one.copy,
            run=one.run,
            directory=one.directory,
            as_user=one.as_user,
            application=one.application,
            origin=self._layers_of(origin) if origin and taken is None else None,
            taken=taken,
            mounts=tuple(self._mount(mount) for mount in one.mounts),
            stage=scoped.stage.name if len(self._scope.stages) > 1 else "",
            of_image=scoped.stage.number in self._of_image,
            mtime=self._options.epoch or 0,
        )

    def _mount(self, one: StepMount) -> StepMount:
        origin = one.mount.origin
        if not origin:
            return one
        taken = self._scope.stage_of(origin)
        return replace(one, taken=taken, origin=self._layers_of(origin) if taken is None else None)

    def _layers_of(self, name: str) -> tuple[Digest, ...]:
        image = self._images.get(Outside(name, self._scope.target))
        return tuple(layer.diff_id for layer in image.layers) if image is not None else ()

    def _chain(self, scoped: ScopedStage) -> Iterator[ScopedStage]:
        """Yield a stage, and those that it stands on."""
        yield scoped
        while scoped.below is not None:
            scoped = self._known[scoped.below]
            yield scoped


def _inputs(options: BuildOptions) -> Inputs:
    return Inputs(
        build_args=options.build_args,
        labels=options.labels,
        platform=options.target,
        mtime=None if options.timestamps == "preserve" else options.epoch or 0,
        keep_base=options.keep_base,
        packs=options.pull_images != "off",
        network=options.network,
        timeout=options.timeout,
    )


def _unused(scope: DockerScope) -> Iterator[str]:
    """Yield what is to be said of build arguments that no ARG of any stage declares."""
    declared = {key for one in scope.kubefile.instructions if isinstance(one, Arg) for key, _ in one.pairs}
    for key in scope.build_args:
        if key not in declared and key.upper() not in _PREDEFINED:
            yield f"no ARG declares the build argument {key}, so it changes nothing"
