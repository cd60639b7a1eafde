"""Running the plugin inside a test."""

import subprocess
from collections.abc import Callable, Mapping

import pytest

# Imported once: pytester takes away after each run whatever modules that run was the first to import.
from harness.trees import Content, write_tree

Run = Callable[..., pytest.RunResult]
WriteProject = Callable[[Mapping[str, Content]], None]
Git = Callable[..., None]


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


@pytest.fixture
def git(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Run git in the folder that the inner pytest works in, a repository; nobody's own settings have a say."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always")

    def run_git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(pytester.path), *who, *arguments], check=True, capture_output=True)

    run_git("init", "-b", "main")
    return run_git
