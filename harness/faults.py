"""Let one of kubeimage's calls to the system fail, die or do only half of its work.

for fault in IoFaults.every(errno.ENOSPC):
    with suppress(KubeimageError), fault:
        build(...)
    # whatever happened, the store is whole

The seam are kubeimage's own modules: while the context lasts, their names ``os``, ``fcntl``, ``threading`` and ``open``
lead here first. So neither pytest nor anybody else is disturbed, and only the thread that entered the context is
struck, with those that kubeimage starts in it. Not seen is what other libraries do on kubeimage's behalf (``os.path``,
``os.walk``, ``shutil``, ``tempfile``), and what RUN's processes do.

An error strikes only calls that can have it: ENOSPC what makes or writes something, EMFILE what opens something, EIO
all but the end of reading. EINTR never gets to Python code: the interpreter makes the call again (PEP 475); but a read
or write that was interrupted in its midst is a short one, so that is what EINTR does here. What a handler of the signal
may do is played by an exception, as ``KeyboardInterrupt``, in the thread that entered the context; what no handler can,
by ``signal.SIGKILL``, in a process of its own.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, Self

from harness.modules import builder_modules

Error = int | signal.Signals | BaseException | type[BaseException]

SHORT = errno.EINTR
"""A read or write that does only half of what it was asked for."""

_OPENING = frozenset({"open", "listdir", "scandir"})
_MAKING = frozenset({"link", "makedirs", "mkdir", "mkfifo", "mknod", "rename", "replace", "setxattr", "symlink"})
_MOVING = frozenset({"copy_file_range", "read", "readinto", "write"})
_ENDING = frozenset({"close", "flush", "fsync"})
_LOOKING = frozenset({"access", "fstat", "getxattr", "listxattr", "lstat", "readlink", "stat"})
_CHANGING = frozenset({"chmod", "chown", "fchmod", "flock", "removexattr", "rmdir", "unlink", "utime"})
CALLS = _OPENING | _MAKING | _MOVING | _ENDING | _LOOKING | _CHANGING

_FULL = _MAKING | {"open to write", "write", "flush", "fsync", "close after writing"}
_CAN_HAVE = {
    errno.EIO: CALLS - {"close"} | {"open to write", "close after writing"},
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EMFILE: _OPENING | {"open to write"},
    errno.ENFILE: _OPENING | {"open to write"},
    SHORT: frozenset({"read", "readinto", "write"}),
}


class IoCall(NamedTuple):
    """A call to the system. Shape: ``name`` is the function's; ``where`` is the path or descriptor that it got."""

    name: str
    where: object

    def __str__(self) -> str:
        return f"{self.name}({self.where!r})"


class IoFaults:
    """A context in which kubeimage's ``at``-th call (from 0) to the system fails; without ``at`` they are counted only.

    Shape: ``error`` is an error number, an exception, or a signal that is sent to this process. With ``lasting`` all
           calls from there on fail. ``calls`` are those that can have the error, ``hit`` is the one that had it first.
    """

    def __init__(self, at: int | None = None, error: Error = errno.EIO, *, lasting: bool = False) -> None:
        self.at = at
        self.error = error
        self.lasting = lasting
        self.calls: list[IoCall] = []
        self.hit: IoCall | None = None
        self.entered = False
        self._lock = threading.Lock()
        self._here: threading.Thread | None = None
        self._ours: set[threading.Thread] = set()
        self._written: set[int] = set()
        self._stack = ExitStack()

    @classmethod
    def every(cls, error: Error, *, start: int = 0, step: int = 1, lasting: bool = False) -> Iterator[Self]:
        """Give a fault for each ``step``-th call, until one comes that the code under test does not get to.

        Raises: RuntimeError where the one before was not entered.
        """
        at = start
        while True:
            fault = cls(at, error, lasting=lasting)
            yield fault
            if not fault.entered:
                raise RuntimeError(
                    "each fault is a context to work in: `for fault in IoFaults.every(...): with fault:`"
                )
            if fault.hit is None:
                return
            at += step

    def __enter__(self) -> Self:
        modules = builder_modules()
        self.entered = True
        self._here = threading.current_thread()
        self._ours = {self._here}
        with ExitStack() as stack:
            for module in modules:
                self._stand_in(module, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def __repr__(self) -> str:
        error = errno.errorcode.get(self.error, self.error) if type(self.error) is int else self.error
        return f"<{error} at call {self.at}{f', {self.hit}' if self.hit else ''}>"

    def strike(self, name: str, where: object, call: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        """Make a call, or let it fail; ``half`` does half of it."""
        if not self._is_next(name, where):
            return call()
        if self.error == SHORT and type(self.error) is int:
            return (half or call)()
        if name.startswith("close"):
            # However it ends, the descriptor is free.
            call()
        self._fail(where)
        return call()

    def named(self, name: str, where: object, arguments: tuple[Any, ...]) -> str:
        """Give a function's name, and whether it is about writing where that makes a difference."""
        if name == "open" and arguments[0] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            return "open to write"
        if name == "close" and where in self._written:
            self._written.discard(where)
            return "close after writing"
        return name

    def note_opened(self, descriptor: int) -> None:
        """Remember that a descriptor is one to write to."""
        self._written.add(descriptor)

    def make_thread(self, *arguments: Any, **named: Any) -> threading.Thread:
        """Make a thread, which is struck as well if it is one of the code under test."""
        thread = threading.Thread(*arguments, **named)
        if threading.current_thread() in self._ours:
            self._ours.add(thread)
        return thread

    def _is_next(self, name: str, where: object) -> bool:
        if not self._can_have(name):
            return False
        call = IoCall(name, where)
        with self._lock:
            number = len(self.calls)
            self.calls.append(call)
            if self.at is None or number < self.at or (number > self.at and not self.lasting):
                return False
            self.hit = self.hit or call
        return True

    def _can_have(self, name: str) -> bool:
        thread = threading.current_thread()
        if type(self.error) is int:
            return thread in self._ours and name in _CAN_HAVE.get(self.error, {name})
        if isinstance(self.error, signal.Signals):
            return thread in self._ours
        # Handlers of signals run in one thread alone.
        return thread is self._here

    def _fail(self, where: object) -> None:
        if isinstance(self.error, signal.Signals):
            os.kill(os.getpid(), self.error)
        elif isinstance(self.error, int):
            raise OSError(self.error, os.strerror(self.error), where if isinstance(where, str | bytes) else None)
        else:
            raise self.error

    def _stand_in(self, module: ModuleType, stack: ExitStack) -> None:
        names: dict[str, object] = {
            name: _Faulty(module.__dict__[name], self)
            for name in ("os", "fcntl", "threading")
            if name in module.__dict__
        }
        if "open" not in module.__dict__:
            names["open"] = self._open
        for name, value in names.items():
            before = module.__dict__.get(name)
            setattr(module, name, value)
            stack.callback(*((delattr, module, name) if before is None else (setattr, module, name, before)))

    def _open(self, file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        name = "open to write" if set(mode) & set("wax") else "open"
        opened = self.strike(name, file, lambda: builtins.open(file, mode, *arguments, **named))  # noqa: SIM115 - its user closes it
        return _FaultyFile(opened, self, file, writes=name != "open")


class _Faulty:
    """A module whose calls to the system may fail."""

    def __init__(self, module: Any, faults: IoFaults) -> None:
        self._module = module
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._module, name)
        found = self._guarded(name, real) if name in CALLS else real
        if real is threading.Thread:
            found = self._faults.make_thread
        setattr(self, name, found)
        return found

    def _guarded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(where: Any, *arguments: Any, **named: Any) -> Any:
            shown = self._faults.named(name, where, arguments)
            half = None
            if name in ("read", "write") and _half(arguments[0]):
                half = lambda: real(where, _half(arguments[0]))  # noqa: E731
            result = self._faults.strike(shown, where, lambda: real(where, *arguments, **named), half)
            if shown == "open to write":
                self._faults.note_opened(result)
            return result

        return call


class _FaultyFile:
    """An open file whose calls to the system may fail, as far as they are made at once: a buffer hides the others."""

    def __init__(self, file: Any, faults: IoFaults, where: object, *, writes: bool) -> None:
        self._file = file
        self._faults = faults
        self._where = where
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._file, name)
        return self._guarded(name, real) if name in CALLS else real

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def _guarded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            half = None
            if isinstance(self._file, io.RawIOBase) and arguments and _half(arguments[0]):
                half = lambda: real(_half(arguments[0]))  # noqa: E731
            shown = "close after writing" if name == "close" and self._writes else name
            return self._faults.strike(shown, self._where, lambda: real(*arguments), half)

        return call


def _half(data: Any) -> Any:
    """Give the first half of some bytes, or half of a number of them; nothing where there is no half."""
    if isinstance(data, int):
        return data // 2 if data > 1 else 0
    return memoryview(data)[: len(data) // 2]
