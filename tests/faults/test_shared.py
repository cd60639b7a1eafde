"""A build whose layers several processes write, under the faults of those that one process writes.

A worker meets the same fault as its parent, each at its own so-manieth call. Forking is for processes with one thread:
so each build happens in a child of its own.
"""

import errno
import itertools
import os
import signal

import pytest

from harness.faults.faults import SHORT, Error, IoFaults, Torn, dies_at
from harness.faults.forks import ending_here, fork
from harness.faults.iocalls import CALLS, WRITING
from harness.faults.modules import builder_modules
from kubeimage.errors import KubeimageError
from kubeimage.layer import sharing, workers
from tests.faults.commands import COMMANDS, FIRST_BUILD, Bench

DONE, FAILED, LEFT_A_PROCESS, NOT_REACHED = 0, 3, 4, 5


@pytest.fixture(autouse=True)
def _two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(workers.VARIABLE, "2")
    monkeypatch.setattr(sharing, "_SMALLEST_RANGE", 1)
    builder_modules()


def attempt(fault: IoFaults, bench: Bench, command: str) -> int:
    """Do a command under a fault, in a child; give how that ended."""
    place = bench.fresh(command)
    if (child := fork()) == 0:
        with ending_here():
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os._exit(_attempt_here(fault, lambda: COMMANDS[command](place)))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _attempt_here(fault: IoFaults, work: object) -> int:
    assert callable(work)
    ended = DONE
    try:
        with fault:
            work()
    except (KubeimageError, KeyboardInterrupt):
        ended = FAILED
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        assert fault.hit is not None or "pwrite" in {call.name for call in fault.calls}
        return ended if fault.hit is not None else NOT_REACHED
    return LEFT_A_PROCESS


@pytest.mark.parametrize(
    ("error", "step"),
    [
        pytest.param(errno.ENOSPC, 9, id="ENOSPC"),
        pytest.param(Torn(errno.ENOSPC), 3, id="half a write, then ENOSPC"),
        pytest.param(errno.EIO, 23, id="EIO"),
        pytest.param(SHORT, 7, id="short reads and writes"),
        pytest.param(KeyboardInterrupt, 29, id="interrupt"),
    ],
)
def test_a_build_that_fails_at_any_call_leaves_a_whole_store(bench: Bench, error: Error, step: int, full: bool) -> None:
    for number in itertools.count(0, 1 if full else step):
        ended = attempt(IoFaults(number, error), bench, FIRST_BUILD)

        assert ended in (DONE, FAILED, NOT_REACHED), number
        assert bench.problems(FIRST_BUILD, done=ended != FAILED) == [], number
        if ended == NOT_REACHED:
            break
    assert number > 2


def test_a_build_that_is_killed_at_any_call_leaves_a_whole_store(bench: Bench, full: bool) -> None:
    for number in itertools.count(0, 1 if full else 7):
        place = bench.fresh(FIRST_BUILD)
        if not dies_at(number, lambda: COMMANDS[FIRST_BUILD](place), among=CALLS if full else WRITING):  # noqa: B023 - done at once
            break

        assert bench.problems(FIRST_BUILD, done=False) == [], number
    assert number > 15
