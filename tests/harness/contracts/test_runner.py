"""Mounters and runners against one contract each: the real ones, as root or not, and those in memory."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.cases.kubefs import KubeFs
from harness.contracts import CommandRunnerContract, MounterContract, RunParts
from harness.contracts.runner import CASES, Case
from harness.fakes.memory_tree import MemoryTree
from harness.fakes.mounts import MemoryMounter
from harness.fakes.runner import FakeRunner, ShellInterpreter
from harness.fakes.stores import MemoryLayerStore
from kubeimage.mount.copymounter import CopyMounter
from kubeimage.mount.overlay import OverlayMounter
from kubeimage.run.plain import PlainRunner
from kubeimage.run.sandbox import SandboxRunner
from kubeimage.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(str(tmp_path_factory.mktemp("store"))) as store:
        yield store


@pytest.fixture(scope="module")
def overlay_mounter(store: Store) -> OverlayMounter:
    return OverlayMounter(store.snapshots)


class TestOverlay(MounterContract, CommandRunnerContract):
    @pytest.fixture
    def parts(self, store: Store, overlay_mounter: OverlayMounter) -> RunParts:
        return RunParts(overlay_mounter, SandboxRunner({}), store.layers)


class TestCopy(MounterContract, CommandRunnerContract):
    @pytest.fixture
    def parts(self, store: Store) -> RunParts:
        return RunParts(CopyMounter(store.snapshots), SandboxRunner({}), store.layers)


class TestPlainRunner(CommandRunnerContract):
    @pytest.fixture
    def parts(self, store: Store) -> RunParts:
        return RunParts(CopyMounter(store.snapshots), PlainRunner({}), store.layers)


class TestMemory(MounterContract, CommandRunnerContract):
    @pytest.fixture
    def parts(self) -> RunParts:
        layers = MemoryLayerStore()
        return RunParts(MemoryMounter(layers), ShellInterpreter(), layers)


class TestMemoryOnAStore(MounterContract):
    """Mounts in memory of what a real store holds, on files in memory."""

    @pytest.fixture
    def parts(self, kube_fs: KubeFs) -> Iterator[RunParts]:
        with Store.open(kube_fs.root) as store:
            yield RunParts(MemoryMounter(store.layers), ShellInterpreter(), store.layers)


class TestFakeRunner(CommandRunnerContract):
    """A runner that was told what the commands of the contract do."""

    @pytest.fixture
    def parts(self) -> RunParts:
        runner = FakeRunner()
        for case in CASES:
            runner.on(case.script, _effect(case), output=case.prints, status=case.status)
        runner.on("cd etc; W=1; export W; echo 2 > b", lambda tree: tree.write("etc/b", "2\n"))
        runner.on('cat etc/b; echo "<$W>"', output="2\n<>\n")
        layers = MemoryLayerStore()
        return RunParts(MemoryMounter(layers), runner, layers)


def _effect(case: Case) -> Callable[..., Any]:
    def effect(tree: MemoryTree) -> None:
        for path, text in case.files.items():
            tree.write(path, text)

    return effect
