"""Every mounter against one contract: overlay (as root, or as the ordinary user who runs this), copy, and memory."""

from collections.abc import Iterator

import pytest

from harness.contracts.mounts import MounterContract, RunParts
from harness.fakes.mounts import MemoryMounter
from harness.fakes.runner import ShellInterpreter
from harness.fakes.stores import MemoryLayerStore
from kubeimage.mount.copying import CopyMounter
from kubeimage.mount.overlay import OverlayMounter
from kubeimage.run.sandbox import SandboxRunner
from kubeimage.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(str(tmp_path_factory.mktemp("store"))) as store:
        yield store


@pytest.fixture(scope="module")
def overlay_mounter(store: Store) -> OverlayMounter:
    return OverlayMounter(store.snapshots)


class TestOverlay(MounterContract):
    @pytest.fixture
    def parts(self, store: Store, overlay_mounter: OverlayMounter) -> RunParts:
        return RunParts(overlay_mounter, SandboxRunner({}), store.layers)


class TestCopy(MounterContract):
    @pytest.fixture
    def parts(self, store: Store) -> RunParts:
        return RunParts(CopyMounter(store.snapshots), SandboxRunner({}), store.layers)


class TestMemory(MounterContract):
    @pytest.fixture
    def parts(self) -> RunParts:
        layers = MemoryLayerStore()
        return RunParts(MemoryMounter(layers), ShellInterpreter(), layers)
