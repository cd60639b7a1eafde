"""Every mounter against one contract: overlay (as root, or as the ordinary user who runs this), copy, and memory."""

from pathlib import Path

import pytest

from harness.fakes.mounts import MemoryMounter
from harness.fakes.runner import ShellInterpreter
from harness.fakes.stores import MemoryLayerStore
from harness.mount_contracts import MounterContract, RunParts
from kubeimage.mount.copying import CopyMounter
from kubeimage.mount.overlay import OverlayMounter
from kubeimage.run.sandbox import SandboxRunner
from kubeimage.store import Store


class TestOverlay(MounterContract):
    @pytest.fixture(scope="class")
    def parts(self, tmp_path_factory):
        with Store.open(str(tmp_path_factory.mktemp("store"))) as store:
            yield RunParts(OverlayMounter(store.snapshots), SandboxRunner({}), store.layers)


class TestCopy(MounterContract):
    @pytest.fixture(scope="class")
    def parts(self, tmp_path_factory):
        with Store.open(str(tmp_path_factory.mktemp("store"))) as store:
            yield RunParts(CopyMounter(store.snapshots), SandboxRunner({}), store.layers)


class TestMemory(MounterContract):
    @pytest.fixture
    def parts(self, tmp_path: Path) -> RunParts:
        layers = MemoryLayerStore()
        return RunParts(MemoryMounter(layers), ShellInterpreter(), layers)
