"""A pytest plugin that says which test fails first, and of a property after how many examples and on which project.

    python -m pytest -p tests.mutants.watching --watch-into FILE --watch-limit SECONDS …

``FILE`` gets a `Death` as JSON, or stays empty where no test fails. A test that takes longer than the limit without a
failure has failed as well; it takes the process with it, for it may never come back.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import hypothesis.stateful
import pytest
from hypothesis.errors import UnsatisfiedAssumption
from hypothesis.internal.conjecture.data import StopTest  # type: ignore[attr-defined]  # no public name
from hypothesis.stateful import RuleBasedStateMachine

from harness.strategies import Edit, InvalidKubefile, Project, WrittenKubefile
from kubeimage.kubefile import Kubefile

_NO_FAILURE = (UnsatisfiedAssumption, StopTest, pytest.skip.Exception)


class Death(NamedTuple):
    """How a mutant died.

    Shape: ``examples`` is None for a test that is no property; ``lines`` and ``files`` are of the shrunk project, None
           where it has none.
    Units: ``seconds`` until the first failure, without the shrinking.
    """

    test: str
    how: str
    seconds: float
    examples: int | None = None
    lines: int | None = None
    files: int | None = None


class _Watch:
    """Counts the examples of one test, and keeps what the last one that failed was made of."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.count = 0
        self.failed_at: int | None = None
        self.seconds = 0.0
        self.last: list[object] = []

    def run(self, body: Callable[[], object], made_of: Callable[[], list[object]]) -> object:
        """Try one example."""
        self.count += 1
        try:
            return body()
        except _NO_FAILURE:
            raise
        except BaseException:
            self.fail()
            self.last = made_of()
            raise

    def fail(self) -> None:
        """Note the first failure, which ends the time that there is for it."""
        if self.failed_at is None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.failed_at = self.count
            self.seconds = time.monotonic() - self.began

    def death(self, test: str, how: str) -> Death:
        """Sum it up."""
        sizes = [size for part in self.last for size in _sizes(part)]
        lines, files = (
            max((size for sizes_ in sizes if (size := sizes_[which]) is not None), default=None) for which in (0, 1)
        )
        return Death(test, how, round(self.seconds, 1), self.failed_at if self.count else None, lines, files)


class Watcher:
    """Watches each test, until one fails."""

    def __init__(self, into: str, limit: float) -> None:
        self._into = into
        self._limit = limit
        self._watch = _Watch()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Watch a test; how long it takes to shrink what it found is no matter."""
        self._watch = _Watch()
        with pytest.MonkeyPatch.context() as patch:
            self._stand_in(item, patch)
            signal.signal(signal.SIGALRM, lambda *_: self._stop(item))
            signal.setitimer(signal.ITIMER_REAL, self._limit)
            try:
                return (yield)
            except pytest.skip.Exception:
                raise
            except BaseException as error:
                self._watch.fail()
                self._write(self._watch.death(item.nodeid, type(error).__name__))
                raise
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def _stand_in(self, item: pytest.Item, patch: pytest.MonkeyPatch) -> None:
        function = getattr(item, "obj", None)
        if (given := getattr(function, "hypothesis", None)) is not None:
            patch.setattr(given, "inner_test", self._watched(given.inner_test))
        make_test: Any = hypothesis.stateful.get_state_machine_test

        @functools.wraps(make_test)
        def make_watched(factory: Callable[[], RuleBasedStateMachine], **named: Any) -> Any:
            machines: list[RuleBasedStateMachine] = []

            def make() -> RuleBasedStateMachine:
                machines[:] = [factory()]
                return machines[0]

            test = make_test(make, **named)
            inner = test.hypothesis.inner_test
            test.hypothesis.inner_test = self._watched(
                inner, lambda: [getattr(one, "project", None) for one in machines]
            )
            return test

        patch.setattr(hypothesis.stateful, "get_state_machine_test", make_watched)

    def _watched(
        self, inner: Callable[..., object], made_of: Callable[[], list[object]] | None = None
    ) -> Callable[..., object]:
        # Hypothesis chooses its examples by what it finds behind `wraps`: so they stay the same.
        @functools.wraps(inner)
        def watched(*arguments: Any, **named: Any) -> object:
            made = made_of or (
                lambda: [value for name, value in named.items() if name == "text" or type(value) is not str]
            )
            return self._watch.run(lambda: inner(*arguments, **named), made)

        return watched

    def _stop(self, item: pytest.Item) -> None:
        self._watch.seconds = time.monotonic() - self._watch.began
        self._write(self._watch.death(item.nodeid, "timeout")._replace(examples=self._watch.count or None))
        os._exit(1)

    def _write(self, death: Death) -> None:
        with open(self._into, "w") as file:
            json.dump(death._asdict(), file)


def _sizes(part: object) -> Iterator[tuple[int, int | None]]:
    """Return the lines and files of each project in an argument of a property; a text alone has no files."""
    if isinstance(part, Project):
        yield len(part.text.splitlines()), len(part.context)
    elif isinstance(part, WrittenKubefile | InvalidKubefile):
        yield from _sizes(part.text)
    elif isinstance(part, Kubefile):
        yield len(part.instructions), None
    elif isinstance(part, str | bytes):
        yield len(part.splitlines()), None
    elif isinstance(part, tuple):
        for inner in part:
            yield from _sizes(inner) if isinstance(inner, Project | Edit) else ()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add where to write and how long a test may take."""
    parser.addoption("--watch-into")
    parser.addoption("--watch-limit", type=float, default=120.0)


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch."""
    config.pluginmanager.register(Watcher(config.getoption("--watch-into"), config.getoption("--watch-limit")))
