"""A project: a Kubefile with a context and a base that it can be built in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

from harness.model import Image, Request, docker
from harness.strategies.images import PLATFORMS
from harness.trees import Content, Pasted
from kubeimage.kubefile import Instruction, Kubefile, parse, render


@dataclass(frozen=True)
class Project(Pasted):
    """A Kubefile, its context, and the rest that its image depends on.

    Shape: ``base`` is the image that the store has under `BASE_NAME`; FROM scratch needs none. It prints as what can
           be pasted into a test.
    """

    kubefile: Kubefile
    context: dict[str, Content]
    base: Image | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    platform: str = PLATFORMS[0]
    below: Project | None = None

    @classmethod
    def of(
        cls,
        text: str,
        context: Mapping[str, Content] | None = None,
        *,
        base: Image | None = None,
        build_args: Mapping[str, str] | None = None,
        platform: str = PLATFORMS[0],
        below: Project | None = None,
    ) -> Self:
        """Make the project of a Kubefile's text; a line feed at its very start is the quotes' own."""
        return cls(parse(text.removeprefix("\n")), dict(context or {}), base, build_args or {}, platform, below)

    @property
    def text(self) -> str:
        """The Kubefile's text, to be pasted into a file."""
        return render(self.kubefile)

    @property
    def request(self) -> Request:
        """What a build of it is asked for."""
        return Request(self.kubefile, self.context, self.base, self.build_args, platform=self.platform)

    @property
    def docker_request(self) -> docker.Request:
        """What a build of it is asked for, in a dialect after Docker's rules."""
        base = self.below.docker_image if self.below is not None else None
        return docker.Request(self.kubefile, self.context, base, self.build_args, self.platform)

    @cached_property
    def docker_image(self) -> docker.Image | None:
        """What the model makes of it, in a dialect after Docker's rules; None where that fails."""
        return docker.build(self.docker_request).image

    def with_instructions(self, instructions: Sequence[Instruction]) -> Self:
        """Return the same project with other instructions."""
        return replace(self, kubefile=replace(self.kubefile, instructions=tuple(instructions)))

    def __repr__(self) -> str:
        raw = "r" if "\\" in self.text else ""
        shown = repr(self.text) if '"""' in self.text else f'{raw}"""\n{self.text}"""'
        parts = [shown, repr(self.context)]
        parts += [f"base={self.base!r}"] if self.base is not None else []
        parts += [f"build_args={dict(self.build_args)!r}"] if self.build_args else []
        parts += [f"platform={self.platform!r}"] if self.platform != PLATFORMS[0] else []
        parts += [f"below={self.below!r}"] if self.below is not None else []
        return f"Project.of({', '.join(parts)})"
