"""A build as a fold over the stages of a file, and over the instructions of each.

Source: moby's Dockerfile reference; sealer at f4f89c58; the project's design, "Dialects and runners".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.model.context import Context
from harness.model.docker.image import Image
from harness.model.docker.owned import Owned
from harness.model.docker.stage import Stage, Surroundings
from harness.model.docker.words import expand
from harness.model.failure import Failed
from harness.model.tree import complete
from harness.trees import Content
from kubeimage.kubefile import Arg, Copy, From, Instruction, Kubefile, Run

BASE_NAME = "base:1"


@dataclass(frozen=True)
class Request:
    """What a build is asked for.

    Shape: ``base`` is the one image that the store has, under the name `BASE_NAME`.
    """

    kubefile: Kubefile
    context: Mapping[str, Content] = field(default_factory=dict)
    base: Image | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    platform: str = "linux/amd64"


@dataclass(frozen=True)
class Outcome:
    """How a build goes: an image, or the code of an error and the instruction that fails."""

    image: Image | None
    error: str | None = None
    failing: Instruction | None = None


def build(request: Request) -> Outcome:
    """Say how a build goes."""
    work = _Work(request)
    try:
        return Outcome(work.run())
    except Failed as failed:
        return Outcome(None, failed.code, work.at)


class _Work:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.at: Instruction | None = None
        self.stages = request.kubefile.stages
        self.names = [one.base.stage for one in self.stages]
        self.done: dict[int, Stage] = {}

    def run(self) -> Image:
        """Build what is needed of all stages, and return the image of the last one.

        Raises: Failed.
        """
        request = self.request
        values = self._globals()
        context = _owned(request.context)
        around = Surroundings(request.kubefile.dialect, request.build_args, request.platform, values, context, {})
        wanted = self._wanted(values)
        for number in wanted:
            self._resolve(number, values, around)
        for number in wanted:
            stage = self.done[number]
            for step in stage.steps:
                self.at = step.instruction
                stage.do(step)
            around.trees[number] = stage.tree
        return self.done[wanted[-1]].image()

    def _resolve(self, number: int, values: Mapping[str, str], around: Surroundings) -> None:
        one = self.stages[number]
        self.at = one.base
        name = expand(one.base.name, values)
        if not name:
            raise Failed("E0250", "FROM names nothing")
        below = self._stage_called(name, number)
        if below is None and name != "scratch" and (self.request.base is None or name != BASE_NAME):
            raise Failed("E0402", f"there is no image {name}")
        stands_on = self.done[below] if below is not None else self.request.base if name != "scratch" else None
        stage = self.done[number] = Stage(around, stands_on, self._number_of)
        for instruction in (*stage.triggered, *one.instructions[1:]):
            self.at = instruction
            stage.resolve(instruction)

    def _globals(self) -> dict[str, str]:
        """Return what FROM can use, and a bare ARG behind it."""
        os, architecture, variant = (*self.request.platform.split("/"), "")[:3]
        values = {
            "TARGETPLATFORM": self.request.platform,
            "TARGETOS": os,
            "TARGETARCH": architecture,
            "TARGETVARIANT": variant,
        }
        for one in self.request.kubefile.instructions:
            if isinstance(one, From):
                break
            assert isinstance(one, Arg)
            for key, default in one.pairs:
                given = self.request.build_args.get(key)
                if given is not None or default is not None:
                    values[key] = given if given is not None else expand(default or "", values)
        return values

    def _wanted(self, values: Mapping[str, str]) -> list[int]:
        """Return the stages that the last one needs, in order."""
        wanted = {len(self.stages) - 1}
        for number in range(len(self.stages) - 1, -1, -1):
            if number not in wanted:
                continue
            stage = self.stages[number]
            found = [self._stage_called(expand(stage.base.name, values), number)]
            for one in stage.instructions:
                found += [self._number_of(one.origin)] if isinstance(one, Copy) and one.origin else []
                found += [self._number_of(mount.origin) for mount in one.mounts] if isinstance(one, Run) else []
            wanted |= {one for one in found if one is not None}
        return sorted(wanted)

    def _stage_called(self, name: str, before: int) -> int | None:
        return next((at for at in range(before) if self.names[at] and self.names[at] == name.lower()), None)

    def _number_of(self, origin: str) -> int | None:
        """Return the number of the stage that --from names, by its name or its number."""
        if origin.isdigit():
            return int(origin)
        return self.names.index(origin.lower()) if origin.lower() in self.names else None


def _owned(context: Mapping[str, Content]) -> dict[str, Owned]:
    seen = Context(complete(context))
    return {path: Owned(seen.node(path)) for path in seen.tree}
