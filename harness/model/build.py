"""A build as a fold over the instructions of a Kubefile.

Source: the project's design, "Execution".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property

from harness.model import arguments, sources
from harness.model.context import Context
from harness.model.failure import Failed
from harness.model.shell import Shell
from harness.model.tree import Item, Layer, Tree, apply, complete, diff, flatten
from harness.trees import Content, Pasted
from kubeimage.kubefile import Cmd, Copy, From, Instruction, Kubefile, Run

MOST_LAYERS = 128
BASE_NAME = "base:1"

Key = tuple[object, ...]
Cache = frozenset[Key]
"""What earlier builds did: the base and platform, then each step with all that it depends on."""


@dataclass(frozen=True)
class Image(Pasted):
    """A finished image, or one to build on.

    Shape: ``made_by`` has the instruction of each layer. ``history`` has each instruction, and whether it made a layer.
    """

    platform: str
    layers: tuple[Layer, ...] = ()
    made_by: tuple[tuple[str, str], ...] = ()
    history: tuple[tuple[str, bool], ...] = ()
    parent_commands: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    parent_arguments: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    is_application: bool = False

    def __repr__(self) -> str:
        shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if getattr(self, one.name))
        return f"Image({', '.join(shown)})"

    @cached_property
    def tree(self) -> Tree:
        """What it looks like when it is unpacked."""
        return flatten(self.layers)

    @property
    def run_by_a_cluster(self) -> tuple[str, ...]:
        """All commands, each inherited one once."""
        return merge(self.parent_commands, self.commands)


@dataclass(frozen=True)
class Request:
    """What a build is asked for.

    Shape: ``base`` is the one image that the store has, under the name `BASE_NAME`; FROM scratch needs none.
    """

    kubefile: Kubefile
    context: Mapping[str, Content] = field(default_factory=dict)
    base: Image | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: str = "linux/amd64"
    use_cache: bool = True
    keep_base: bool = True


@dataclass(frozen=True)
class Step:
    """One instruction behind or above FROM, done. Shape: ``layer`` is None where it made none."""

    instruction: Instruction
    layer: Layer | None = None
    cached: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a build goes: an image, or the code of an error; and what the cache knows then."""

    image: Image | None
    error: str | None
    steps: tuple[Step, ...]
    cache: Cache


def merge(first: tuple[str, ...], then: tuple[str, ...]) -> tuple[str, ...]:
    """Put commands behind inherited ones, without those that are there already."""
    return first + tuple(one for one in then if one not in first)


def build(request: Request, cache: Cache = frozenset()) -> Outcome:
    """Say how a build goes that finds ``cache``."""
    work = Work(request, cache)
    try:
        work.plan()
        for instruction, values in work.planned:
            work.do(instruction, values)
    except Failed as failed:
        return Outcome(None, failed.code, tuple(work.steps), work.cache)
    return Outcome(work.image(), None, tuple(work.steps), work.cache)


class Work:
    """A build at work, instruction by instruction; one that fails changes nothing."""

    def __init__(self, request: Request, cache: Cache) -> None:
        self.request = request
        self.cache = cache
        self.steps: list[Step] = []
        self.planned: list[tuple[Instruction, arguments.Values]] = []
        self.base: Image | None = None
        self.hitting = request.use_cache
        self.values: arguments.Values = {}
        self.tree: Tree = {}
        self.key: Key = ()

    @cached_property
    def context(self) -> Context:
        return Context(complete(self.request.context))

    def plan(self) -> None:
        """Find all that can be known before any work.

        Raises: Failed.
        """
        request = self.request
        walked = list(arguments.walk(request.kubefile, request.build_args))
        self.values = walked[-1][1]
        name = next(arguments.expand(one.name, values) for one, values in walked if isinstance(one, From))
        self.base = None if name == "scratch" else self._base_called(name)
        layers = sum(isinstance(one, Copy | Run) for one, _ in walked)
        if layers + len(self.base.layers if self.base else ()) > MOST_LAYERS:
            raise Failed("E0401", "too many layers")
        self.planned = [(one, values) for one, values in walked if not isinstance(one, From)]
        for one, values in self.planned:
            if isinstance(one, Copy):
                self._names(one, values)
        self.tree = self.base.tree if self.base else {}
        self.key = (_frozen(self.base.layers if self.base else ()), request.platform)

    def _base_called(self, name: str) -> Image:
        """Return the base that FROM names.

        Raises: Failed.
        """
        base = self.request.base
        if base is None or name != BASE_NAME or base.platform != self.request.platform:
            raise Failed("E0402", f"there is no image {name}")
        return base

    def do(self, instruction: Instruction, values: arguments.Values) -> None:
        """Do one instruction.

        Raises: Failed.
        """
        if isinstance(instruction, Copy):
            names, destination = self._names(instruction, values)
            copy = names, destination, instruction.exact, instruction.chmod
            collected, folders, filled = sources.collect(self.context, copy)
            key = (*self.key, ("COPY", copy, _frozen((collected,))))
            layer = sources.land(collected, folders, filled, self.tree)
            tree = apply(self.tree, layer)
            self._add(instruction, key, layer if tree != self.tree else None, tree)
        elif isinstance(instruction, Run):
            seen = {name: value for name, value in values.items() if value is not None}
            key = (*self.key, ("RUN", instruction.command, tuple(sorted(seen.items()))))
            self._add(instruction, key, *self._run(instruction.command, seen))
        else:
            self.steps.append(Step(instruction))

    def image(self) -> Image:
        """Put together what was made."""
        request, base = self.request, self.base
        kept = base if base is not None and request.keep_base else Image(request.platform)
        made = [(one.instruction, one.layer) for one in self.steps if one.layer is not None]
        history = tuple(
            (f"{one.instruction.keyword} {one.instruction.value}", one.layer is not None) for one in self.steps
        )
        commands = [
            one for step in self.steps if isinstance(step.instruction, Cmd) for one in step.instruction.commands
        ]
        return Image(
            platform=request.platform,
            layers=kept.layers + tuple(layer for _, layer in made),
            made_by=kept.made_by + tuple((one.keyword, one.value) for one, _ in made),
            history=kept.history + history,
            parent_commands=merge(kept.parent_commands, kept.commands),
            commands=tuple(commands),
            parent_arguments={**kept.parent_arguments, **kept.arguments},
            arguments={key: value for key, value in self.values.items() if value is not None},
            labels={**(base.labels if base else {}), **request.labels},
            is_application=kept.is_application if request.keep_base else True,
        )

    def _names(self, copy: Copy, values: arguments.Values) -> tuple[tuple[str, ...], str]:
        return arguments.expand_copy(copy, values, self.request.platform.split("/")[1])

    def _run(self, command: str, variables: Mapping[str, str]) -> tuple[dict[str, Item] | None, Tree]:
        """Return the layer, if there is one, and the tree that it makes."""
        shell = Shell(self.tree, variables)
        if shell.run(command):
            raise Failed("E0710", f"{command!r} fails")
        layer = diff(self.tree, shell.tree, shell.files) or None
        return layer, self.tree if layer is None else apply(self.tree, layer)

    def _hits(self, key: Key) -> bool:
        return self.hitting and key in self.cache

    def _add(self, instruction: Instruction, key: Key, layer: Layer | None, tree: Tree) -> None:
        cached = self._hits(key)
        if not cached:
            self.hitting = False
            self.cache |= {key}
        self.key = key
        if layer is not None:
            self.tree = tree
        self.steps.append(Step(instruction, layer, cached))


def _frozen(layers: tuple[Layer, ...]) -> tuple[tuple[tuple[str, Item], ...], ...]:
    return tuple(tuple(sorted(layer.items(), key=lambda one: one[0])) for layer in layers)
