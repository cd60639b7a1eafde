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
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest with the plugin, in this process, on the memory backend if no other is named.

    Of other plugins only those have a say that it is started with: one that is installed may change order or output.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run_pytest(*arguments: str, backend: str | None = "memory") -> pytest.RunResult:
        chosen = [f"--kubefile-backend={backend}"] if backend else []
        if any(argument.startswith("-n") for argument in arguments):
            chosen += ["-p", "xdist"]
        return pytester.runpytest_inprocess("-p", "harness.plugin", *chosen, *arguments)

    return run_pytest
