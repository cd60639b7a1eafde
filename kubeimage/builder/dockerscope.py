"""What is known of a Kubefile after Docker's rules before its bases are there: global arguments, what FROMs name.

Source: moby's Dockerfile reference, "Understand how ARG and FROM interact".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kubeimage.errors import Diagnostic, KubefileError, UsageError
from kubeimage.image.platform import Platform
from kubeimage.kubefile import Arg, Instruction, Kubefile, Mistake
from kubeimage.kubefile.dockerfile.stages import taken_by
from kubeimage.kubefile.dockerfile.words import WordError, expand_word
from kubeimage.kubefile.instructions import Stage, find_stage
from kubeimage.kubefile.statement import closest, quoted

SCRATCH = "scratch"


class Outside(NamedTuple):
    """An image that is made elsewhere: its name, as it is written, and which platform's is wanted."""

    name: str
    platform: Platform


class ScopedStage(NamedTuple):
    """A stage before its base is there.

    Shape: ``base_name`` is what FROM names. ``below`` is the number of the stage of that name, None for an image.
           ``taken`` are the numbers of the stages that its instructions take files from.
    """

    stage: Stage
    base_name: str
    platform: Platform
    below: int | None = None
    taken: tuple[int, ...] = ()

    @property
    def outside(self) -> Outside:
        """The image that FROM names."""
        return Outside(self.base_name, self.platform)

    @property
    def needed(self) -> tuple[int, ...]:
        """The numbers of the stages that must be built before."""
        return self.taken if self.below is None else (self.below, *self.taken)


class DockerScope(NamedTuple):
    """What is known of a Kubefile before its bases are there.

    Shape: ``stages`` are those that are needed, in the file's order; the last one is the image.
           ``target`` is the platform that is built for.
    """

    kubefile: Kubefile
    stages: tuple[ScopedStage, ...]
    target: Platform
    build_args: Mapping[str, str]

    @property
    def bottom(self) -> ScopedStage:
        """The stage that the image stands on, down all FROMs that name a stage."""
        known = {one.stage.number: one for one in self.stages}
        lowest = self.stages[-1]
        while lowest.below is not None:
            lowest = known[lowest.below]
        return lowest

    @property
    def base_name(self) -> str:
        """What the FROM at the bottom names."""
        return self.bottom.base_name

    @property
    def outside(self) -> dict[Outside, Instruction]:
        """The images that the stages stand on and take from, each with the instruction that names it first."""
        found: dict[Outside, Instruction] = {}
        for scoped in self.stages:
            if scoped.below is None and scoped.base_name != SCRATCH:
                found.setdefault(scoped.outside, scoped.stage.base)
            for one in scoped.stage.instructions:
                for name in taken_by(one):
                    if self.stage_of(name) is None:
                        found.setdefault(Outside(name, self.target), one)
        return found

    def stage_of(self, name: str) -> int | None:
        """Return the number of the stage that --from calls ``name``; None for an image's name."""
        return number_of_stage(name, self.kubefile)


def number_of_stage(name: str, kubefile: Kubefile) -> int | None:
    """Return the number of the stage that --from calls ``name``, which may be a number; None for an image's name."""
    if kubefile.dialect != "sealos":
        return None
    if name.isascii() and name.isdigit():
        return int(name)
    found = find_stage(name, kubefile.stages)
    return found.number if found is not None else None


def docker_scope(
    kubefile: Kubefile, build_args: Mapping[str, str], platform: Platform, target: str | None = None
) -> DockerScope:
    """Return what FROMs name, and which stages are needed for the stage ``target``, by default for the last one.

    Raises: KubefileError for a word that cannot be expanded; UsageError for a target that is not there.
    """
    stages = kubefile.stages
    values = global_arguments(kubefile, build_args, platform)
    wanted = {_target_of(kubefile, target)}
    found: list[ScopedStage] = []
    for stage in reversed(stages):
        if stage.number in wanted:
            scoped = _scope_stage(kubefile, stage, values, platform, is_last=not found)
            wanted.update(scoped.needed)
            found.append(scoped)
    return DockerScope(kubefile, tuple(reversed(found)), platform, build_args)


def _target_of(kubefile: Kubefile, target: str | None) -> int:
    stages = kubefile.stages
    if target is None:
        return len(stages) - 1
    found = next((one.number for one in stages if target.lower() in (one.base.stage, str(one.number))), None)
    if found is None or kubefile.dialect != "sealos":
        names = [one.base.stage for one in stages if one.base.stage]
        meant = closest(target.lower(), names)
        asked = f" (did you mean {meant}?)" if meant else ""
        known = f"there are {', '.join(one.name for one in stages)}" if len(stages) > 1 else "the file has one stage"
        raise UsageError(f"--target: no stage is called {quoted(target)}{asked}", hint=known)
    return found


def _scope_stage(
    kubefile: Kubefile, stage: Stage, values: Mapping[str, str], platform: Platform, *, is_last: bool
) -> ScopedStage:
    base = stage.base
    name = expand(base.name, values, base, kubefile.escape)
    if not name:
        raise refused(Mistake.UNSET_ARGUMENT, base, f"FROM {base.name} names no image: what it uses has no value")
    below = find_stage(name, kubefile.stages[: stage.number])
    taken = (number_of_stage(one, kubefile) for instruction in stage.instructions for one in taken_by(instruction))
    numbers = tuple(dict.fromkeys(number for number in taken if number is not None))
    wanted = expand(base.platform, values, base, kubefile.escape)
    own = Platform.parse(wanted) if wanted else platform
    if own.matches(platform) or name == SCRATCH or below is not None:
        own = platform
    elif is_last:
        message = f"FROM --platform={wanted} is not what is built for: {platform}"
        raise refused(Mistake.NOT_TAKEN, base, message, "leave the flag out, or build with --platform")
    return ScopedStage(stage, name, own, below.number if below is not None else None, numbers)


def global_arguments(kubefile: Kubefile, build_args: Mapping[str, str], platform: Platform) -> dict[str, str]:
    """Return what FROM can use, and a bare ARG behind it: the ARGs above FROM, and what every build knows."""
    values = automatic_arguments(platform)
    for one in kubefile.instructions:
        if not isinstance(one, Arg):
            break
        for key, default in one.pairs:
            if key in build_args:
                values[key] = build_args[key]
            elif default is not None:
                values[key] = expand(default, values, one, kubefile.escape)
    return values


def automatic_arguments(target: Platform) -> dict[str, str]:
    """Return the platform arguments that need no value.

    Source: moby's Dockerfile reference, "Automatic platform ARGs in the global scope".
    """
    return {
        f"{prefix}{name}": value
        for prefix, platform in (("TARGET", target), ("BUILD", Platform.host()))
        for name, value in (
            ("PLATFORM", str(platform)),
            ("OS", platform.os),
            ("ARCH", platform.architecture),
            ("VARIANT", platform.variant),
        )
    }


def expand(word: str, variables: Mapping[str, str], one: Instruction, escape: str) -> str:
    try:
        return expand_word(word, variables, escape)
    except WordError as error:
        hint = "close it, or put a backslash before the character to mean it"
        raise refused(Mistake.BAD_WORD, one, f"{word!r} cannot be read: {error}", hint) from error


def refused(mistake: Mistake, one: Instruction, message: str, hint: str | None = None) -> KubefileError:
    return KubefileError([Diagnostic(mistake.code, message, one.span.location, hint)])
