"""Tries one mutation after the other on a copy of the tree: the tests that cover its line, until one fails.

A process is forked for each, from one that has imported what tests need but kubeimage: so a trial takes little more
than its tests do. A trial has a limit, and what it started goes with it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.mutants.machine.mutations import Mutation, mutated

SURVIVED, UNCOVERED = "survived", "no test covers it"
# By pytest's exit status: where it found nothing to run, nothing was noticed.
_HOW = {0: SURVIVED, 4: UNCOVERED, 5: UNCOVERED}
_OPTIONS = ("-q", "-x", "-n0", "-p", "no:cacheprovider", "-o", "timeout=0", "-p", "no:faulthandler", "--no-header",
    # What is imported before the fork has no explained asserts.
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip


class Verdict(NamedTuple):
    """How a mutation ended.

    Shape: ``how`` is "killed", "timeout", "no test covers it" or "survived"; ``tests`` is how many were tried at most.
    Units: ``seconds`` of time.
    """

    mutation: Mutation
    how: str
    tests: int
    seconds: float

    @property
    def is_dead(self) -> bool:
        """Whether a test noticed it."""
        return self.how in {"killed", "timeout"}


def prepare() -> None:
    """Import what each trial needs, but nothing of the tree."""
    # Hypothesis would import kubeimage's strategies, and so kubeimage as it is here.
    os.environ["HYPOTHESIS_NO_PLUGINS"] = "1"
    import hypothesis.stateful
    import pyfakefs.fake_filesystem_unittest
    import pytest
    import yaml

    del hypothesis, pyfakefs, pytest, yaml
    assert "kubeimage" not in sys.modules


def check_tests(tree: Path, tests: Sequence[str], *, limit: float) -> None:
    """Run tests without any mutation, for a trial in which they fail anyhow says nothing.

    Raises: RuntimeError where they fail.
    """
    child = os.fork()
    if not child:
        _run(tree, tests)
    if (status := _wait(child, limit)) != 0:
        raise RuntimeError(f"tests fail without any mutation (status {status}): pytest {' '.join(tests)}")


def try_one(tree: Path, mutation: Mutation, tests: Sequence[str], *, limit: float) -> Verdict:
    """Run ``tests`` with a mutation in ``tree``, which is whole again afterwards. Units: ``limit`` in seconds."""
    if not tests:
        return Verdict(mutation, UNCOVERED, 0, 0.0)
    begun = time.monotonic()
    with _applied(tree, mutation):
        child = os.fork()
        if not child:
            _run(tree, tests)
        status = _wait(child, limit)
    how = "timeout" if status is None else _HOW.get(status, "killed")
    return Verdict(mutation, how, len(tests), time.monotonic() - begun)


@contextmanager
def _applied(tree: Path, mutation: Mutation) -> Iterator[None]:
    path = tree / mutation.path
    before = path.read_text()
    path.write_text(mutated(tree, mutation))
    try:
        yield
    finally:
        path.write_text(before)


class _Only:
    """Runs these tests in this order: the ids of some cannot be said on a command line."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._places = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out all others."""
        known = [item for item in items if item.nodeid in self._places]
        items[:] = sorted(known, key=lambda item: self._places[item.nodeid])


def _run(tree: Path, tests: Sequence[str]) -> None:
    """Be the trial: a process group of its own, whose exit status is pytest's."""
    status = 1
    try:
        os.setsid()
        os.chdir(tree)
        os.environ |= {"PYTHONPATH": str(tree), "CI": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        sys.path.insert(0, str(tree))
        sys.dont_write_bytecode = True
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        import pytest

        files = dict.fromkeys(test.partition("::")[0] for test in tests)
        status = int(pytest.main([*_OPTIONS, *files], plugins=[_Only(tests)]))
    finally:
        os._exit(status)


def _wait(child: int, limit: float) -> int | None:
    """Return the exit status of the trial, not 0 where it was killed; None where it took too long."""
    descriptor = os.pidfd_open(child)
    try:
        import select

        ended = bool(select.select([descriptor], [], [], limit)[0])
    finally:
        os.close(descriptor)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if ended else None
