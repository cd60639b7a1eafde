"""The marker ``needs``: end-to-end tests with real programs. Signals as a terminal has them. No test leaves a trace."""

import gc
import os
import shutil
import signal
import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest

import tests.disk  # noqa: F401 - it changes what `os.fsync` does
from tests import peers
from tests.hugepages import join_pages
from tests.watchdog import Watchdog

REQUIRE_ALL = os.environ.get("KUBEIMAGE_REQUIRE_ALL") == "1"
LONG_RUN = 6 * 3600
MOST_LINES, MOST_CHARACTERS = 60, 1_000
_WATCHDOG = Watchdog()

# Whoever runs the tests in the background may ignore these, and what a test starts would inherit that.
for _number, _default in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs are missing; fail it where all of them are required."""
    peers.expect(item)
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [tool for tool in sorted(peers.needs(item)) if shutil.which(tool, path=path) is None]
    if missing:
        reason = f"needs {', '.join(missing)}, which this machine does not have"
        if REQUIRE_ALL:
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Guard a test as pytest-timeout does, without a thread for each of ten thousand tests."""
    from pytest_timeout import timeout_timer

    if settings.method != "thread":
        return None
    _WATCHDOG.guard(settings.timeout, lambda: timeout_timer(item, settings))
    return True


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_cancel_timer() -> None:
    """Say that the test has come to its end."""
    _WATCHDOG.release()


@pytest.fixture(autouse=True)
def _leaves_no_trace() -> Iterator[None]:
    """Fail where a test and its fixtures leave a thread, or another working directory or environment."""
    before, threads = _surroundings(), set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in threads and not _is_shared(thread)]
    for thread in left:
        thread.join(timeout=5)
    assert [thread for thread in left if thread.is_alive()] == []
    assert {name: text for name, text in _surroundings().items() if before.get(name) != text} == {}


def _surroundings() -> dict[str, str]:
    return {**os.environ, "PYTEST_CURRENT_TEST": "", "the working directory": os.getcwd()}


def _is_shared(thread: threading.Thread) -> bool:
    """Whether it serves a registry in this process, or the driver of a browser: several tests may share those."""
    return thread.name.startswith(("fake registry", "asyncio_")) or "process_request_thread" in thread.name


@pytest.fixture(autouse=True)
def _no_logins_of_the_machine(request: pytest.FixtureRequest) -> None:
    """Keep other programs from the machine's logins to registries, which may be another user's to read."""
    if request.node.get_closest_marker("needs") is not None:
        monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
        folder = request.getfixturevalue("tmp_path_factory").mktemp("runtime")
        folder.chmod(0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the pages of the docs first, and give tests hours where the run is one that looks for long."""
    # Each takes seconds: at the end, all other workers would wait for the last of them.
    items.sort(key=lambda item: item.path.name != "test_docs.py")
    if config.getoption("--hypothesis-profile") == "nightly" or os.environ.get("KUBEIMAGE_STRESS") == "full":
        for item in items:
            item.add_marker(pytest.mark.timeout(LONG_RUN))


def pytest_collection_finish() -> None:
    """Keep the garbage collector from what stays until the end: thousands of tests, and what they import.

    Without that, each of its full rounds looks at all of it, and so does each process that a test forks.
    """
    gc.collect()
    gc.freeze()
    join_pages()


@pytest.hookimpl(wrapper=True)
def pytest_assertrepr_compare() -> Generator[None, list[list[str] | None], list[list[str] | None]]:
    """Shorten what explains a failed assert: on CI, pytest itself would print two megabytes whole."""
    explanations = yield
    return [lines and shortened(lines) for lines in explanations]


def shortened(lines: list[str]) -> list[str]:
    """Return the first lines, and the beginning of each."""
    cut = [line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]}… (cut)" for line in lines[:MOST_LINES]]
    return cut if len(lines) <= MOST_LINES else [*cut, f"… ({len(lines) - MOST_LINES} lines more)"]
