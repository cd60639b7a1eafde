"""What every implementation of a protocol does: test classes to inherit from, for whoever writes another one.

    class TestMyLayerStore(LayerStoreContract):
        @pytest.fixture
        def layer_store(self) -> LayerStore: ...

Each class says which fixtures it takes. The parts of one test belong together: what ``layer_store`` holds, images may
refer to.
"""

import pytest

# Before they are imported: a failing assertion is to say what it compared.
pytest.register_assert_rewrite(
    *(f"{__name__}.{name}" for name in ("cache", "context", "indexes", "mounts", "registry", "runner", "stores")),
)

from harness.contracts.cache import BuildCacheContract  # noqa: E402
from harness.contracts.context import SourceCollectorContract  # noqa: E402
from harness.contracts.indexes import ImageIndexContract  # noqa: E402
from harness.contracts.mounts import MounterContract, RunParts  # noqa: E402
from harness.contracts.registry import BasicAuthContract, RegistryContract  # noqa: E402
from harness.contracts.runner import CommandRunnerContract  # noqa: E402
from harness.contracts.stores import (  # noqa: E402
    AMD64,
    APP,
    ARM64,
    CHANGESET,
    OTHER,
    ImageStoreContract,
    LayerStoreContract,
    make_image,
    one_file,
)

__all__ = [
    "AMD64",
    "APP",
    "ARM64",
    "CHANGESET",
    "OTHER",
    "BasicAuthContract",
    "BuildCacheContract",
    "CommandRunnerContract",
    "ImageIndexContract",
    "ImageStoreContract",
    "LayerStoreContract",
    "MounterContract",
    "RegistryContract",
    "RunParts",
    "SourceCollectorContract",
    "make_image",
    "one_file",
]
