"""Make one of kubeimage's calls to the system fail, die or do only half of its work.

for fault in IoFaults.every(errno.ENOSPC):
    with suppress(KubeimageError), fault:
        build(...)
    # whatever happened, the store is whole

number = 0
while dies_at(number, lambda: build(...)):
    # a process was killed in place of its call; the store is whole
    number += 1

An error strikes only calls that can have it: ENOSPC what makes or writes something, EMFILE what opens something, EIO
all but the end of reading. Most calls never have EINTR, for the interpreter makes them again (PEP 475); it is left to
those that it does not care for, which some network filesystems interrupt. A read or write that is interrupted in its
midst is a short one, and ``SHORT`` does that. What a handler of the signal may do is played by an exception, as
``KeyboardInterrupt``, in the thread that entered the context; what no handler can, by ``dies_at``, in a process of its
own.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, Self

from harness.faults.forks import ending_here, fork
from harness.faults.iocalls import CALLS, CHANGING, ENDING, LOOKING, MAKING, OPENING, IoCall, IoSeam
from harness.faults.modules import builder_modules

SHORT: Literal["SHORT"] = "SHORT"
"""A read or write that does only half of what it was asked for."""


class Torn(NamedTuple):
    """A write that does half of what it was asked for, and fails then: what is on the disk is more than was told."""

    error: int


Error = int | Literal["SHORT"] | Torn | signal.Signals | BaseException | type[BaseException]

_FULL = MAKING | {"TemporaryFile", "close after writing", "flush", "fsync", "open to write", "pwrite", "write"}
_MADE_AGAIN = {"TemporaryFile", "fchmod", "flock", "flush", "fstat", "fsync", "ftruncate", "mkfifo", "mknod", "mkstemp"}
_CAN_HAVE = {
    errno.EIO: CALLS - {"close"},
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EMFILE: OPENING,
    errno.ENFILE: OPENING,
    errno.EINTR: (MAKING | ENDING | LOOKING | CHANGING | {"copy_file_range", "listdir", "scandir"})
    - _MADE_AGAIN
    - {"close"},
    SHORT: frozenset({"pwrite", "read", "readinto", "write"}),
}


class IoFaults(IoSeam):
    """A context in which kubeimage's ``at``-th call (from 0) to the system fails; without ``at`` they are counted only.

    Shape: ``error`` is an error number, ``SHORT``, a ``Torn``, an exception, or a signal that is sent to this process.
           With ``lasting`` all calls from there on fail. ``calls`` are those that can have the error, ``hit`` is the
           one that had it first. Only calls ``among`` some count at all.
    """

    def __init__(
        self,
        at: int | None = None,
        error: Error = errno.EIO,
        *,
        lasting: bool = False,
        among: frozenset[str] = CALLS,
    ) -> None:
        super().__init__()
        self._among = among
        self.at = at
        self.error = error
        self.lasting = lasting
        self.calls: list[IoCall] = []
        self.hit: IoCall | None = None
        self._counting = threading.Lock()

    @classmethod
    def every(
        cls,
        error: Error,
        *,
        start: int = 0,
        step: int = 1,
        lasting: bool = False,
        among: frozenset[str] = CALLS,
    ) -> Iterator[Self]:
        """Yield a fault for each ``step``-th call, until one comes that the code under test does not get to.

        Raises: RuntimeError where the one before was not entered.
        """
        at = start
        while True:
            fault = cls(at, error, lasting=lasting, among=among)
            yield fault
            if not fault.entered:
                raise RuntimeError(
                    "each fault is a context to work in: `for fault in IoFaults.every(...): with fault:`"
                )
            if fault.hit is None:
                return
            at += step

    def __repr__(self) -> str:
        error = errno.errorcode.get(self.error, self.error) if type(self.error) is int else self.error
        return f"<{error} at call {self.at}{f', {self.hit}' if self.hit else ''}>"

    def strike(self, name: str, where: object, call: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        """Make a call, or let it fail; ``half`` does half of it."""
        if not self._is_next(name, where):
            return call()
        if self.error == SHORT:
            return (half or call)()
        if isinstance(self.error, Torn) and half is not None:
            half()
        if name.startswith("close"):
            # However it ends, the descriptor is free.
            call()
        self._fail(where)
        return call()

    def _is_next(self, name: str, where: object) -> bool:
        if name not in self._among or not self._can_have(name):
            return False
        call = IoCall(name, where)
        with self._counting:
            number = len(self.calls)
            self.calls.append(call)
            if self.at is None or number < self.at or (number > self.at and not self.lasting):
                return False
            self.hit = self.hit or call
        return True

    def _can_have(self, name: str) -> bool:
        if isinstance(self.error, signal.Signals):
            return self.is_ours()
        if isinstance(self.error, Torn):
            return self.is_ours() and name in ("pwrite", "write")
        if isinstance(self.error, int | str):
            return self.is_ours() and name in _CAN_HAVE.get(self.error, {name})
        # Handlers of signals run in one thread alone.
        return self.is_here()

    def _fail(self, where: object) -> None:
        if isinstance(self.error, signal.Signals):
            os.kill(os.getpid(), self.error)
        elif isinstance(self.error, int | Torn):
            number = self.error.error if isinstance(self.error, Torn) else self.error
            raise OSError(number, os.strerror(number), where if isinstance(where, str | bytes) else None)
        elif not isinstance(self.error, str):
            raise self.error


def dies_at(number: int, work: Callable[[], object], *, among: frozenset[str] = CALLS) -> bool:
    """Do ``work`` in a process that is killed in place of its ``number``-th call; tell whether it came so far.

    Shape:  among the calls that write (``WRITING``) there is one for each state that the disk can be left in.
    Raises: RuntimeError where the work failed before.
    """
    # Not in each child anew.
    builder_modules()
    child = fork()
    if child == 0:
        with ending_here(), IoFaults(number, signal.SIGKILL, among=among):
            work()
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("the work failed before it was killed; what it said stands above")
    return os.WIFSIGNALED(status)
