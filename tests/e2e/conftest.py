"""A program with a store of the test's own, and the example projects."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import Program, copy_projects


@pytest.fixture
def kubeimage(tmp_path: Path) -> Program:
    """Return the program with a new store."""
    return Program(tmp_path / "store", tmp_path)


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the example projects, with all that git does not keep. Tests only read it."""
    target = copy_projects(tmp_path_factory.mktemp("projects") / "fixtures")
    subprocess.run(["sh", target / "odd-names/prepare.sh"], check=True)
    return target


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """Return a folder that every user can reach: pytest's own are closed to all but one."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="kubeimage-e2e-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def _based_store(projects: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("based")
    program = Program(folder / "store", folder)
    program.build("rootfs:v1", projects / "rootfs")
    program.build("dashboard:v1", projects / "dashboard")
    return program.root


@pytest.fixture
def based(kubeimage: Program, _based_store: Path) -> Program:
    """Return the program with a store that holds rootfs:v1 and dashboard:v1."""
    shutil.copytree(_based_store, kubeimage.root, symlinks=True)
    return kubeimage
