"""Cases whose builds go as a test wants them to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.asking.options import Settings
from harness.asking.subjects import Subject
from harness.cases.case import Case
from harness.cases.workshop import Workshop
from harness.fakes.memory_tree import MemoryTree
from harness.fakes.runner import tree_of
from harness.images.backends import memory_backends
from harness.trees import Tree, write_tree
from kubeimage.api.backends import Backends
from kubeimage.image.platform import Platform
from kubeimage.protocols.running import Command, CommandResult, Mount

Effect = Callable[[MemoryTree], None]


@dataclass(frozen=True)
class EffectRunner:
    """A runner for which every command does the same."""

    effect: Effect
    name: str = "test"

    def check_platform(self, platform: Platform) -> None:
        del platform

    def run(self, command: Command, mount: Mount, output: Callable[[bytes], None]) -> CommandResult:
        del command, output
        self.effect(tree_of(mount))
        return CommandResult(0)


@dataclass(frozen=True)
class Cases:
    """Makes cases in a folder."""

    folder: Path

    def __call__(
        self,
        text: str,
        context: Tree | None = None,
        *,
        effect: Effect | None = None,
        change: Callable[[Backends], Backends] = lambda backends: backends,
        **settings: Any,
    ) -> Case:
        """Make a case. ``effect`` is what RUN does; ``change`` is done to each of the backends."""
        write_tree(str(self.folder / "app"), {**(context or {}), "Kubefile": text})

        def backends(_path: str) -> Backends:
            fresh = memory_backends()
            return change(replace(fresh, runner=EffectRunner(effect)) if effect is not None else fresh)

        workshop = Workshop(Settings(backend="memory", **settings), str(self.folder / "run"), backends)
        return Case(workshop, Subject(str(self.folder / "app/Kubefile")), "app/Kubefile")


@pytest.fixture
def make_case(tmp_path: Path) -> Cases:
    return Cases(tmp_path)
