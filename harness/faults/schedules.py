"""Several processes on one store, each told when to make its next calls to the system: the same schedule, the same run.

    done = side_by_side([[build_one, tag_it], [prune]], [Turn(0, 17), Turn(1, 40)])

makes 17 calls of the first process, then 40 of the second, and lets both come to their ends. Only calls count that
others can see, or that see what others do: between the rest it makes no difference who goes on. A turn ends early with
an operation, and where a lock is somebody else's: then others go on, and the next turn tries again. Where all wait for
each other it is a deadlock, at once and every time.

The processes are real, and so are locks and files; only when a call is made is chosen. Calls that a process makes in
further threads of its own are not waited for.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple

from harness.faults.forks import ending_here, fork
from harness.faults.iocalls import IoSeam
from harness.faults.modules import builder_modules
from kubeimage.errors import KubeimageError

Operation = Callable[[], object]

SHARED = frozenset(
    {
        "flock",
        "link",
        "listdir",
        "lstat",
        "makedirs",
        "mkdir",
        "open",
        "rename",
        "replace",
        "rmdir",
        "scandir",
        "stat",
        "symlink",
        "unlink",
        "utime",
    }
)
"""The calls that count: what is written goes to files of one process alone, until they get their names."""

_TO_THE_END = 1 << 30
_SECONDS = 60


class Turn(NamedTuple):
    """How many ``calls`` the process with that number makes, unless its operation ends or has to wait before."""

    process: int
    calls: int


class Failed(NamedTuple):
    """What an operation came to that failed as expected: the error's code."""

    code: str


class Done(NamedTuple):
    """What came of an operation: what it gave, or `Failed`. Units: ``began`` and ``ended`` count the turns of all."""

    process: int
    operation: int
    outcome: Any
    began: int
    ended: int


class DeadlockError(AssertionError):
    """All processes that are left wait for each other."""


def side_by_side(processes: Sequence[Sequence[Operation]], turns: Iterable[Turn]) -> list[Done]:
    """Do the operations of each process one after the other, all processes at once, as ``turns`` say.

    Shape:  what an operation gives must be one that can be pickled; operations are given in the order of their ends.
    Raises: DeadlockError; RuntimeError where an operation fails in another way than with a KubeimageError.
    """
    builder_modules()
    running: list[_Process] = []
    try:
        for number, operations in enumerate(processes):
            running.append(_Process(number, operations))
        return _run(running, turns)
    finally:
        for process in running:
            process.stop()


def _run(running: Sequence[_Process], turns: Iterable[Turn]) -> list[Done]:
    done: list[Done] = []
    clock = 0
    for turn in turns:
        process = running[turn.process % len(running)]
        if process.left:
            clock += 1
            process.go(turn.calls, clock, done)
    while left := [process for process in running if process.left]:
        moved = False
        for process in left:
            clock += 1
            moved |= process.go(_TO_THE_END, clock, done)
        if not moved:
            raise DeadlockError(f"the processes {[process.number for process in left]} wait for each other")
    return done


class _Process:
    """A process that waits for its turns."""

    def __init__(self, number: int, operations: Sequence[Operation]) -> None:
        self.number = number
        self.left = len(operations)
        self._operations = len(operations)
        self._began = 0
        self._channel, others = Pipe()
        self._pid = fork()
        if self._pid == 0:
            with ending_here():
                self._channel.close()
                _work(operations, others)
        others.close()

    def go(self, calls: int, clock: int, done: list[Done]) -> bool:
        """Wait until it has made so many calls; whether it could make one, or came to an end."""
        self._began = self._began or clock
        self._channel.send(calls)
        answer = self._answer()
        if answer.state == "done":
            done.append(Done(self.number, self._operations - self.left, answer.outcome, self._began, clock))
            self.left -= 1
            self._began = 0
        return answer.state == "done" or answer.made > 0

    def stop(self) -> None:
        """End it, whatever it does."""
        if self.left:
            os.kill(self._pid, signal.SIGKILL)
        self._channel.close()
        os.waitpid(self._pid, 0)

    def _answer(self) -> _Answer:
        if not self._channel.poll(_SECONDS):
            raise RuntimeError(f"process {self.number} waits for something that no turn can give it")
        try:
            answer = self._channel.recv()
        except EOFError:
            raise RuntimeError(f"process {self.number} has failed; what it said stands above") from None
        assert isinstance(answer, _Answer)
        return answer


class _Answer(NamedTuple):
    """How a turn ended. Shape: ``made`` are the calls that came to something."""

    state: Literal["paused", "waiting", "done"]
    made: int
    outcome: object = None


def _work(operations: Sequence[Operation], channel: Connection) -> None:
    with _Turns(channel) as turns:
        for operation in operations:
            turns.await_turn()
            try:
                outcome = operation()
            except KubeimageError as error:
                outcome = Failed(error.diagnostics[0].code)
            turns.end("done", outcome)


class _Turns(IoSeam):
    """A context in which calls are made when it is this process's turn."""

    def __init__(self, channel: Connection) -> None:
        super().__init__()
        self._channel = channel
        self._left = self._made = 0

    def await_turn(self) -> None:
        """Wait for a turn."""
        self._left, self._made = self._channel.recv(), 0

    def end(self, state: Literal["paused", "waiting", "done"], outcome: object = None) -> None:
        """End a turn."""
        self._channel.send(_Answer(state, self._made, outcome))

    def strike(self, name: str, where: object, call: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:  # noqa: ARG002 - the seam's
        """Make a call when it may be made."""
        if name in SHARED and self.is_here():
            self._begin()
        self._made += 1
        return call()

    def lock(self, descriptor: Any, operation: int, flock: Callable[[Any, int], None]) -> None:
        """Take a lock when it is free, and wait for another turn as long as it is not."""
        if not self.is_here() or operation & (fcntl.LOCK_NB | fcntl.LOCK_UN):
            super().lock(descriptor, operation, flock)
            return
        self._begin()
        while True:
            try:
                flock(descriptor, operation | fcntl.LOCK_NB)
            except BlockingIOError:
                self.end("waiting")
                self.await_turn()
            else:
                self._made += 1
                return

    def _begin(self) -> None:
        while self._left <= 0:
            self.end("paused")
            self.await_turn()
        self._left -= 1
