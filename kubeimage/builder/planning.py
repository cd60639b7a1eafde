"""From a Kubefile, its base and the options to a plan, whichever dialect it is in: pure, and done before any work.

Source: the project's design, "Execution" (steps 1 and 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from kubeimage.builder.metadata import sealer_metadata
from kubeimage.builder.plan import BuildOptions, BuildPlan, StagePlan, check_base, check_limit
from kubeimage.builder.step import Step, StepMount
from kubeimage.errors import UsageError
from kubeimage.image.compatibility import DEFAULT_DIALECT
from kubeimage.image.config import Image
from kubeimage.kubefile import Arg, Copy, Instruction, Kubefile, Run, Scope, Visible
from kubeimage.protocols.context import CopyRequest

if TYPE_CHECKING:
    from kubeimage.builder.dockerscope import DockerScope, Outside


def base_name(kubefile: Kubefile, options: BuildOptions) -> str:
    """Return what FROM names, with its ARGs expanded.

    Raises: BuildArgError, KubefileError.
    """
    return scope_of(kubefile, options).base_name


def scope_of(kubefile: Kubefile, options: BuildOptions) -> Scope | DockerScope:
    """Return the scope of a Kubefile's arguments, whichever dialect it is in.

    Raises: BuildArgError, KubefileError; UsageError for a stage that is not there.
    """
    if kubefile.dialect != DEFAULT_DIALECT:
        from kubeimage.builder.dockerscope import docker_scope

        return docker_scope(kubefile, options.build_args, options.target, options.stage)
    if options.stage is not None:
        raise UsageError("--target names a stage, and this Kubefile has none", hint="the dialect sealos has stages")
    return Scope.of(kubefile, options.build_args)


def make_plan(
    kubefile: Kubefile,
    base: Image | None,
    options: BuildOptions,
    scope: Scope | DockerScope | None = None,
    others: Mapping[Outside, Image] = MappingProxyType({}),
) -> BuildPlan:
    """Resolve every instruction; ``scope`` is the Kubefile's with these options, where somebody has made it already.

    Shape:  ``others`` are the images beside ``base`` that a Kubefile after Docker's rules stands on and takes from.
            One that is not among them counts as empty.
    Raises: BuildArgError; KubefileError for an argument without a value; LayerLimitError, which says who spends how
        many layers; PlatformMismatchError for a base that is for another platform.
    """
    scope = scope or scope_of(kubefile, options)
    if not isinstance(scope, Scope):
        from kubeimage.builder.stages import plan_stages

        known = {**others, scope.bottom.outside: base} if base is not None else others
        return plan_stages(scope, known, options)
    check_base(base, scope.base_name, options.target, kubefile.base)
    check_limit(base, scope.base_name, kubefile.layered, kubefile.base, trailing=options.pull_images != "off")
    behind = [(one, visible) for one, visible in scope.walk() if one is not kubefile.base]
    steps = tuple(_make_step(number, one, visible, options) for number, (one, visible) in enumerate(behind, 1))
    metadata = sealer_metadata(base, kubefile.commands, scope.arguments, options.labels, keep_base=options.keep_base)
    return BuildPlan(kubefile, options, (StagePlan(0, "", base, scope.base_name, options.target, steps),), metadata)


def _make_step(number: int, instruction: Instruction, visible: Visible, options: BuildOptions) -> Step:
    if isinstance(instruction, Copy):
        return Step(number, instruction, copy=_copy_request(instruction, visible, options), mtime=options.epoch or 0)
    if isinstance(instruction, Run):
        from kubeimage.protocols.running import Command

        command = Command(instruction.command, visible.values, options.network, options.timeout)
        mounts = tuple(map(StepMount, instruction.mounts))
        return Step(number, instruction, run=command, mounts=mounts, mtime=options.epoch or 0)
    if isinstance(instruction, Arg):
        pairs = ((key, options.build_args.get(key)) for key, _ in instruction.pairs)
        return Step(number, instruction, given=tuple((key, value) for key, value in pairs if value is not None))
    return Step(number, instruction)


def _copy_request(copy: Copy, visible: Visible, options: BuildOptions) -> CopyRequest:
    expanded = visible.expand_copy(copy, options.target.architecture)
    mtime = None if options.timestamps == "preserve" else options.epoch or 0
    return CopyRequest(expanded.sources, expanded.destination, expanded.exact, expanded.chmod, mtime)
