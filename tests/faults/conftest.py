"""A store for the commands to work on, copied for each attempt."""

import os
from collections.abc import Iterator

import pytest

from harness.fakes.registry import FakeRegistry
from tests.disk import folder_in_memory
from tests.faults.commands import Bench, prepare


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Return copies of one store, in memory where that can be: thousands of them are made and thrown away."""
    with FakeRegistry() as registry, folder_in_memory(tmp_path_factory) as folder:
        prepare(folder / "template", registry)
        yield Bench(folder, registry)


@pytest.fixture
def full() -> bool:
    """Whether there is time for each call."""
    return os.environ.get("KUBEIMAGE_STRESS") == "full"
