"""How long the stress tests go on: a few seconds, or with ``KUBEIMAGE_STRESS=full`` as long as the project promises."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.program import Program
from tests.stress.projects import Project, write_projects


@dataclass(frozen=True)
class Amount:
    """How much is enough. Units: ``seconds`` of processes side by side, and ``soak``; ``kills`` counts processes."""

    seconds: float
    kills: int
    soak: float


@pytest.fixture(scope="session")
def amount() -> Amount:
    full = os.environ.get("KUBEIMAGE_STRESS") == "full"
    soak = float(os.environ.get("KUBEIMAGE_SOAK", "3600" if full else "0"))
    return Amount(60.0, 500, soak) if full else Amount(0.5, 6, soak)


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, ...]:
    """Return projects, each with the image id that it has when it is built alone, in a store of its own."""
    folder = tmp_path_factory.mktemp("projects")
    return write_projects(folder, Program(folder / "store", folder))


@pytest.fixture
def kubeimage(tmp_path: Path) -> Program:
    """Return the program with a new store."""
    return Program(tmp_path / "store", tmp_path)
