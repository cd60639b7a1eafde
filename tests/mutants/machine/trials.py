"""Tries one mutation after the other on a copy of the tree: the tests that cover its line, until one fails.

A process is forked for each, from one that has imported what tests need but kubeimage: so a trial takes little more
than its tests do. What it started goes with it. Its limits are CPU time and sleep, for a busy machine makes anything
slow by the clock.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from tests.mutants.machine.mutations import Mutation, mutated

KILLED, TIMEOUT, INCOMPETENT = "killed", "timeout", "incompetent"
SURVIVED, UNCOVERED = "survived", "no test covers it"
SLEEP = 120.0
MEMORY = 6 << 30
# A mutation may write without end.
FILE = 1 << 29
SLOWER = 4.0
# So long a whole file may take.
UNKNOWN = 10.0
# A test that fails once and passes the second time is no witness. So many of these are left out.
WITNESSES = 4
_OPTIONS = ("-q", "-x", "-n0", "-p", "no:cacheprovider", "-o", "timeout=0", "-p", "no:faulthandler", "--no-header",
    # What is imported before the fork has no explained asserts.
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip
_AGES = count(1)


class Verdict(NamedTuple):
    """How a mutation ended.

    Shape: ``how`` is "killed", "timeout", "incompetent", "no test covers it" or "survived"; ``by`` is the test that
           noticed it; ``tests`` is how many were tried at most.
    Units: ``seconds`` of CPU time.
    """

    mutation: Mutation
    how: str
    by: str
    tests: int
    seconds: float

    @property
    def is_dead(self) -> bool:
        """Whether a test noticed it."""
        return self.how in {KILLED, TIMEOUT}

    @property
    def is_alive(self) -> bool:
        """Whether tests ran and none noticed it, or there are none."""
        return self.how in {SURVIVED, UNCOVERED}


class Run(NamedTuple):
    """How the tests of one trial ended: like `Verdict`, of which it is a part. Shape: ``ran`` is how many began."""

    how: str
    by: str
    ran: int
    seconds: float


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


def try_one(
    tree: Path, mutation: Mutation, stages: Sequence[Sequence[str]], seconds_of: Mapping[str, float], *, limit: float
) -> Verdict:
    """Run tests with a mutation in ``tree``, which is whole again afterwards.

    A death is one where the same test fails twice, the second time alone.

    Shape: ``stages`` has tests, and then those for what the first ones did not notice.
    Units: ``seconds_of`` is the CPU time that tests take without a mutation. They may take `SLOWER` times that and
           ``limit`` seconds, for they start anew.
    """
    count, seconds, doubtful = sum(map(len, stages)), 0.0, list[str]()
    with applied(tree, mutation):
        for stage in stages:
            while len(doubtful) < WITNESSES and (tests := [test for test in stage if test not in doubtful]):
                first = run_tests(tree, tests, limit=_allowed(tests, seconds_of, limit))
                seconds += first.seconds
                if first.how == INCOMPETENT:
                    return Verdict(mutation, INCOMPETENT, first.by, count, seconds)
                if first.how == SURVIVED:
                    break
                again = run_tests(tree, [first.by], limit=_allowed([first.by], seconds_of, limit))
                seconds += again.seconds
                if again.how != SURVIVED:
                    return Verdict(mutation, again.how, first.by, count, seconds)
                doubtful.append(first.by)
    return Verdict(mutation, SURVIVED if count else UNCOVERED, "", count, seconds)


def _allowed(tests: Sequence[str], seconds_of: Mapping[str, float], limit: float) -> float:
    return limit + SLOWER * sum(seconds_of.get(test, UNKNOWN) for test in tests)


@contextmanager
def applied(tree: Path, mutation: Mutation) -> Iterator[None]:
    """Mutate a module of ``tree``; afterwards it is as it was."""
    path = tree / mutation.path
    before, stat = path.read_text(), path.stat()
    path.write_text(mutated(tree, mutation))
    # Compiled files are told apart by size and whole seconds: two mutations in one second would be one.
    os.utime(path, (stat.st_atime, int(stat.st_mtime) + 2 * next(_AGES)))
    try:
        yield
    finally:
        path.write_text(before)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def run_tests(tree: Path, tests: Sequence[str], *, limit: float) -> Run:
    """Run tests in a process of their own, until one fails.

    Units: ``limit`` of CPU time, in seconds.
    Raises: RuntimeError where pytest ends as it never should.
    """
    # What is here already is no garbage: to look for some in it takes a third of a short trial.
    gc.freeze()
    # No pipe: that of ten thousand tests would be full before anybody reads.
    with tempfile.TemporaryFile("w+") as file:
        child = os.fork()
        if not child:
            _be_the_trial(tree, tests, file.fileno(), limit)
        status, seconds = _wait(child)
        file.seek(0)
        told = [json.loads(line) for line in file if line.endswith("\n")]
    return _ending(status, seconds, told)


def _ending(status: int | None, seconds: float, told: list[dict[str, str]]) -> Run:
    begun = [one["begins"] for one in told if "begins" in one]
    failed = [one["fails"] for one in told if "fails" in one]
    if not begun and status not in {0, 5}:
        # It cannot even be imported by the tests, which says nothing about them.
        return Run(INCOMPETENT, "", 0, seconds)
    if failed:
        return Run(KILLED, failed[0], len(begun), seconds)
    if status is None or status == -signal.SIGXCPU:
        return Run(TIMEOUT, begun[-1], len(begun), seconds)
    if status < 0 or status == 1:
        return Run(KILLED, begun[-1], len(begun), seconds)
    if status in {0, 5}:
        return Run(SURVIVED, "", len(begun), seconds)
    raise RuntimeError(f"pytest ended with {status} in {begun[-1]}")


class _Tell:
    """Runs these tests in this order, and tells which begins and which fails."""

    def __init__(self, tests: Sequence[str], into: int) -> None:
        # The ids of some cannot be said on a command line.
        self._places = {test: place for place, test in enumerate(tests)}
        self._into = into
        # Some tests let the system write badly.
        self._write = os.write

    def pytest_configure(self) -> None:
        """Leave counterexamples as they are found: to shrink them takes minutes."""
        from hypothesis import Phase, settings

        phases = [phase for phase in settings().phases if phase not in {Phase.shrink, Phase.explain}]
        settings.register_profile("trial", settings(), phases=phases)
        settings.load_profile("trial")

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out all others."""
        known = [(place, item) for item in items if (place := self._place(item.nodeid)) is not None]
        items[:] = [item for _, item in sorted(known, key=lambda pair: pair[0])]

    def _place(self, test: str) -> int | None:
        # Of a file that is named, all tests run.
        return self._places.get(test, self._places.get(test.partition("::")[0]))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Tell that a test begins, for it may not come to its end."""
        self._tell(begins=nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Tell a failure."""
        if report.failed:
            self._tell(fails=report.nodeid)

    def _tell(self, **what: str) -> None:
        self._write(self._into, (json.dumps(what) + "\n").encode())


def _be_the_trial(tree: Path, tests: Sequence[str], tells: int, limit: float) -> None:
    """Be the trial: a process group of its own, whose exit status is pytest's."""
    status = 99
    try:
        os.setsid()
        os.chdir(tree)
        os.environ |= {"PYTHONPATH": str(tree), "CI": "1", "PYTHONHASHSEED": "0"}
        _forget_this_tree(tree)
        limits = {resource.RLIMIT_CPU: int(limit) + 1, resource.RLIMIT_AS: MEMORY, resource.RLIMIT_FSIZE: FILE}
        for what, most in limits.items():
            resource.setrlimit(what, (most, resource.getrlimit(what)[1]))
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        import pytest

        files = dict.fromkeys(test.partition("::")[0] for test in tests)
        status = int(pytest.main([*_OPTIONS, *files], plugins=[_Tell(tests, tells)]))
    finally:
        os._exit(status)


def _forget_this_tree(tree: Path) -> None:
    """Let modules come from ``tree``, whatever was imported from here."""
    sys.path.insert(0, str(tree))
    for name in [name for name in sys.modules if name.partition(".")[0] in {"kubeimage", "harness", "tests"}]:
        del sys.modules[name]


def _wait(child: int) -> tuple[int | None, float]:
    """Return the exit status of the trial, None where it slept for too long; and the CPU time that it took."""
    descriptor = os.pidfd_open(child)
    ran, slept = 0, 0.0
    try:
        while slept < SLEEP:
            begun = time.monotonic()
            if ended := bool(select.select([descriptor], [], [], SLEEP / 20)[0]):
                break
            before, ran = ran, _ran(child)
            slept = slept + time.monotonic() - begun if ran == before else 0.0
    finally:
        os.close(descriptor)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status) if ended else None, used.ru_utime + used.ru_stime


def _ran(session: int) -> int:
    """Return for how long the processes of a session ran or waited for a processor, in nanoseconds."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                for task in process.glob("task/*/schedstat"):
                    found += sum(map(int, task.read_text().split()[:2]))
    return found
