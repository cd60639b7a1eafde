"""Source collectors against one contract: in memory, on disk, and on files in memory."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from harness.cases.kubefs import KubeFs
from harness.contracts import SourceCollectorContract
from harness.contracts.context import MakeContext
from harness.fakes.context import Files, MemoryContext, write_context
from kubeimage.context import ContextCollector
from kubeimage.protocols.context import SourceCollector


class TestMemoryContext(SourceCollectorContract):
    @pytest.fixture
    def make_context(self) -> MakeContext:
        return MemoryContext


@pytest.fixture(params=["disk", "pyfakefs"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty folder with nothing beside it."""
    with KubeFs() if request.param == "pyfakefs" else nullcontext() as kube_fs:
        yield str(tmp_path) if kube_fs is None else kube_fs.write({}, "/projects/context")


class TestContextCollector(SourceCollectorContract):
    @pytest.fixture
    def make_context(self, folder: str) -> MakeContext:
        def make(files: Files) -> SourceCollector:
            write_context(files, folder)
            return ContextCollector(folder)

        return make
