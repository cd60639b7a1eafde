"""How long the stress tests go on: a few seconds, or with ``KUBEIMAGE_STRESS=full`` as long as the project promises."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.program import Program
from tests.stress.projects import Project, write_projects


@dataclass(frozen=True)
class Amount:
    """How much is enough. Units: ``seconds`` of processes side by side; ``kills`` counts killed processes."""

    seconds: float
    kills: int


@pytest.fixture(scope="session")
def amount() -> Amount:
    full = os.environ.get("KUBEIMAGE_STRESS") == "full"
    return Amount(60.0, 500) if full else Amount(3.0, 12)


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, ...]:
    """Give projects, each with the image id that it has when it is built alone, in a store of its own."""
    folder = tmp_path_factory.mktemp("projects")
    return write_projects(folder, Program(folder / "store", folder))


@pytest.fixture
def kubeimage(tmp_path: Path) -> Program:
    """Give the program with a new store."""
    return Program(tmp_path / "store", tmp_path)
