"""Running the plugin inside a test."""

from collections.abc import Callable, Mapping

import pytest

# Imported once: pytester takes away after each run whatever modules that run was the first to import.
from harness.trees import Content, write_tree

Run = Callable[..., pytest.RunResult]
WriteProject = Callable[[Mapping[str, Content]], None]


@pytest.fixture
def project(pytester: pytest.Pytester) -> WriteProject:
    """Write files into the folder that the inner pytest works in."""

    def write(tree: Mapping[str, Content]) -> None:
        write_tree(str(pytester.path), dict(tree))

    return write


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run pytest with the plugin, in this process, on the memory backend if no other is named."""

    def run_pytest(*arguments: str, backend: str | None = "memory") -> pytest.RunResult:
        chosen = [f"--kubefile-backend={backend}"] if backend else []
        return pytester.runpytest_inprocess("-p", "harness.plugin", *chosen, *arguments)

    return run_pytest
