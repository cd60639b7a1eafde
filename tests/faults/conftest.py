"""A store for the commands to work on, copied for each attempt."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry
from tests.faults.commands import Bench, prepare


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Return copies of one store, in memory where that can be: thousands of them are made and thrown away."""
    memory = "/dev/shm"
    quick = memory if os.access(memory, os.W_OK) else tmp_path_factory.getbasetemp()
    with FakeRegistry() as registry, tempfile.TemporaryDirectory(prefix="kubeimage-faults-", dir=quick) as folder:
        prepare(Path(folder, "template"), registry)
        yield Bench(Path(folder), registry)


@pytest.fixture
def full() -> bool:
    """Whether there is time for each call."""
    return os.environ.get("KUBEIMAGE_STRESS") == "full"
