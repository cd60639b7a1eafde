"""A small world of fakes for the builder: everything in memory, RUNs by a little shell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from harness.fakes.context import MemoryContext
from harness.fakes.mounts import MemoryMounter
from harness.fakes.runner import ShellInterpreter
from harness.fakes.stores import MemoryBuildCache, MemoryImageStore, MemoryLayerStore
from harness.images.backends import memory_backends
from kubeimage.api.building import plan_build
from kubeimage.api.roots import OutsideRoots
from kubeimage.builder.events import Event
from kubeimage.builder.executor import BuildResult, execute
from kubeimage.builder.forecast import Forecast, forecast
from kubeimage.builder.plan import BuildOptions, BuildPlan
from kubeimage.builder.stagebuild import Parts
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import Kubefile, parse
from kubeimage.layer.tree import Tree
from kubeimage.protocols.running import CommandRunner

AMD64 = Platform("linux", "amd64")


@dataclass
class World:
    """Stores that stay, and builds on them."""

    layers: MemoryLayerStore = field(default_factory=MemoryLayerStore)
    events: list[Event] = field(default_factory=list)
    runner: CommandRunner | None = None

    def __post_init__(self) -> None:
        self.cache = MemoryBuildCache(self.layers)
        self.images = MemoryImageStore(self.layers, self.cache)

    def build(
        self, text: str, files: Mapping[str, Any] | MemoryContext | None = None, *, name: str = "", **options: Any
    ) -> BuildResult:
        kubefile, chosen = parse(text), self._options(name, options)
        context = files if isinstance(files, MemoryContext) else MemoryContext(files or {})
        mounter, runner = MemoryMounter(self.layers), self.runner or ShellInterpreter()
        parts = Parts(self.layers, self.images, self.cache, context, mounter, runner, roots=OutsideRoots(self.layers))
        plan = self._plan(kubefile, chosen)
        return execute(plan, parts, self.events.append)

    def forecast(self, text: str, files: Mapping[str, Any] | None = None, **options: Any) -> tuple[Forecast, ...]:
        kubefile, chosen = parse(text), self._options("", options)
        plan = self._plan(kubefile, chosen)
        return forecast(plan, self.cache, MemoryContext(files or {}), self.layers)

    def tree(self, image: Image) -> dict[str, str]:
        tree = Tree()
        for number, layer in enumerate(image.layers):
            tree.apply(self.layers.entries(layer.diff_id), layer=number)
        return {entry.path: f"{entry.kind.value} {entry.mode:o}" for entry in tree.values()}

    def _plan(self, kubefile: Kubefile, options: BuildOptions) -> BuildPlan:
        backends = replace(memory_backends(), layers=self.layers, images=self.images, cache=self.cache)
        return plan_build(kubefile, backends, options=options)

    def _options(self, name: str, options: dict[str, Any]) -> BuildOptions:
        options.setdefault("platform", AMD64)
        return BuildOptions(references=(Reference.parse(name),) if name else (), **options)


@pytest.fixture
def world() -> World:
    return World()
