"""The command line in this process, on a store and a context of the test's own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner, Result

from kubeimage.cli import program

Run = Callable[..., Result]


class MakeContext(Protocol):
    """Makes a build context of ``files``, or adds them to one."""

    def __call__(self, files: Mapping[str, str | bytes], name: str = "context") -> Path: ...


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The path of a store that is not there yet."""
    return tmp_path / "store"


@pytest.fixture
def run(root: Path) -> Run:
    """Run ``kubeimage`` and give what it printed; any exception but its exit is raised."""

    def run(*arguments: str | Path, env: Mapping[str, str | None] | None = None, status: int = 0) -> Result:
        settings = {"KUBEIMAGE_ROOT": str(root), "SOURCE_DATE_EPOCH": None, **(env or {})}
        result = CliRunner().invoke(program, [str(argument) for argument in arguments], env=settings)
        assert result.exit_code == status, f"{result.exit_code}\n{result.stdout}\n{result.stderr}"
        return result

    return run


@pytest.fixture
def make_context(tmp_path: Path) -> MakeContext:
    """Return a factory of build contexts."""

    def make_context(files: Mapping[str, str | bytes], name: str = "context") -> Path:
        folder = tmp_path / name
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return make_context
