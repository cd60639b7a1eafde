"""Forked processes that do numbered pieces of work beside their parent.

They are no more than help. What a worker could not do, whether it failed or was killed, its parent finds undone and
does itself: so every error is raised where it would be raised without workers, and none is swallowed.

No worker outlives its parent. The parent kills them when it is done with them, however that comes; when it is killed
itself, the kernel kills them (``PR_SET_PDEATHSIG``). They hold none of its files but those that they need, so that its
locks end with it.

Source: prctl(2); pipe(7), "I/O on pipes and FIFOs"; signal(7).
"""

from __future__ import annotations

import gc
import os
import select
import signal
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

MOST_PIECES = 256
"""The number of a piece is one byte: no reader of a pipe gets half of one."""

VARIABLE = "KUBEIMAGE_WORKERS"
"""Names the variable that says how many processes write a large layer; with 0 or 1 there is the parent alone."""

_DONE, _FAILED = 1, 2
_MESSAGE = 2
_PARENT_DEATH_SIGNAL = 1
_HELD_BACK = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def demanded() -> int | None:
    """Return how many workers the environment asks for; None where it says nothing that can be understood."""
    text = os.environ.get(VARIABLE, "")
    return int(text) if text.isascii() and text.isdigit() else None


def available() -> int:
    """Return how many workers can be of use: one a core, none where forking is not safe.

    A fork copies one thread, and the locks of all.
    """
    try:
        if len(os.listdir("/proc/self/task")) != 1:
            return 0
        wanted = demanded()
        count = len(os.sched_getaffinity(0)) if wanted is None else wanted
    except OSError:
        return 0
    return count if count > 1 else 0


class Workers:
    """Processes that do pieces 0, 1, 2 … of some work, each piece once.

    Shape: ``work`` is called with a piece's number, in a worker. ``files`` are the descriptors that it needs.
    """

    def __init__(self, count: int, pieces: int, work: Callable[[int], object], files: Iterable[int]) -> None:
        if pieces > MOST_PIECES:
            raise ValueError(f"there are at most {MOST_PIECES} pieces, found {pieces}")
        self._count = count
        self._states = bytearray(pieces)
        self._work = work
        self._files = frozenset(files)
        self._pids: list[int] = []
        self._heard: dict[int, bytearray] = {}
        self._poll = select.poll()
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        """Start the workers, as many as there can be."""
        try:
            with suppress(OSError):
                self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def wait(self, piece: int) -> bool:
        """Wait until a worker has done ``piece``; False where none has, and none is at it any more.

        Raises: OSError.
        """
        while not self._states[piece] and self._heard:
            for descriptor, _ in self._poll.poll():
                self._hear(descriptor)
        return self._states[piece] == _DONE

    def _hear(self, descriptor: int) -> None:
        told = os.read(descriptor, _MESSAGE * MOST_PIECES)
        if not told:
            self._poll.unregister(descriptor)
            del self._heard[descriptor]
            return
        heard = self._heard[descriptor]
        heard += told
        while len(heard) >= _MESSAGE:
            piece, self._states[piece] = heard[0], heard[1]
            del heard[:_MESSAGE]

    def _start(self) -> None:
        queue, end = os.pipe()
        self._closing.callback(os.close, queue)
        try:
            # It holds all of them, and is closed before anybody reads: who finds it empty is at the end.
            os.write(end, bytes(range(len(self._states))))
        finally:
            os.close(end)
        parent = os.getpid()
        for _ in range(min(self._count, len(self._states))):
            ear, mouth = os.pipe()
            self._closing.callback(os.close, ear)
            try:
                self._fork(parent, queue, mouth)
            finally:
                os.close(mouth)
            self._heard[ear] = bytearray()
            self._poll.register(ear, select.POLLIN)

    def _fork(self, parent: int, queue: int, mouth: int) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
        try:
            pid = os.fork()
            if pid == 0:
                self._be_a_worker(parent, queue, mouth)
            self._pids.append(pid)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _be_a_worker(self, parent: int, queue: int, mouth: int) -> None:
        """Work until there is no more to do; never return."""
        try:
            # Looking at what the parent had would copy it.
            gc.freeze()
            gc.disable()
            # What interrupts the parent reaches all its group. It is the parent who ends the workers then.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)
            _die_with_parent()
            _close_all_but({0, 1, 2, queue, mouth, *self._files})
            while os.getppid() == parent and (piece := os.read(queue, 1)):
                os.write(mouth, bytes((piece[0], _DONE if self._does(piece[0]) else _FAILED)))
        finally:
            os._exit(0)

    def _does(self, piece: int) -> bool:
        try:
            self._work(piece)
        except Exception:  # noqa: BLE001 - the parent does the piece again, and meets the same
            return False
        return True

    def _stop(self) -> None:
        """End all workers, and wait until they are gone."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
        try:
            with self._closing:
                for pid in self._pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                for pid in self._pids:
                    with suppress(ChildProcessError):
                        os.waitpid(pid, 0)
                self._pids.clear()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _die_with_parent() -> None:
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _close_all_but(needed: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in needed:
            with suppress(OSError):
                os.close(int(name))
