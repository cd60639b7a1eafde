"""Where kubeimage's own modules call the system: a seam at which a call can be counted, stopped or let fail.

The seam are the modules' names ``os``, ``fcntl``, ``tempfile``, ``threading`` and ``open``, which lead here while the
context lasts. So neither pytest nor anybody else is disturbed. Seen are the calls of the thread that entered the
context, and of those that kubeimage starts in it. Not seen is what other libraries do on kubeimage's behalf
(``os.walk``, ``shutil``), and what RUN's processes do.
"""

from __future__ import annotations

import builtins
import io
import os
import threading
from collections.abc import Callable, Iterator
from functools import cache
from types import TracebackType
from typing import Any, NamedTuple, Self

from harness.faults.modules import builder_modules

OPENING = frozenset({"TemporaryFile", "listdir", "mkstemp", "open", "open to write", "scandir"})
MAKING = frozenset(
    {"link", "makedirs", "mkdir", "mkdtemp", "mkfifo", "mknod", "mkstemp", "rename", "replace", "setxattr", "symlink"}
)
MOVING = frozenset({"copy_file_range", "pwrite", "read", "readinto", "write"})
ENDING = frozenset({"close", "close after writing", "flush", "fsync"})
LOOKING = frozenset({"access", "fstat", "getxattr", "listxattr", "lstat", "readlink", "stat"})
CHANGING = frozenset({"chmod", "chown", "fchmod", "flock", "ftruncate", "removexattr", "rmdir", "unlink", "utime"})
WRITING = MAKING | {
    "TemporaryFile",
    "chmod",
    "chown",
    "close after writing",
    "copy_file_range",
    "fchmod",
    "flush",
    "ftruncate",
    "open to write",
    "pwrite",
    "removexattr",
    "rmdir",
    "unlink",
    "utime",
    "write",
}
"""Calls after which something on the disk may be another."""

CALLS = OPENING | MAKING | MOVING | ENDING | LOOKING | CHANGING

_MODULES = ("fcntl", "os", "tempfile", "threading")
# Questions that a failing system answers with no.
_ASKING = {"exists": "stat", "isdir": "stat", "isfile": "stat", "islink": "lstat", "lexists": "lstat"}


class IoCall(NamedTuple):
    """A call to the system. Shape: ``name`` is the function's; ``where`` is the path or descriptor that it got."""

    name: str
    where: object

    def __str__(self) -> str:
        return f"{self.name}({self.where!r})"


class IoSeam:
    """A context in which ``strike`` is asked to make each of kubeimage's calls to the system."""

    def __init__(self) -> None:
        self.entered = False
        self._here: threading.Thread | None = None
        self._ours: set[threading.Thread] = set()
        self._written: set[int] = set()
        self._seen: dict[int, _SeenModule] = {}
        self._before: list[tuple[dict[str, Any], str, object]] = []

    def strike(self, name: str, where: object, call: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:  # noqa: ARG002 - for those who do more
        """Make a call; ``half`` does half of it."""
        return call()

    def lock(self, descriptor: Any, operation: int, flock: Callable[[Any, int], None]) -> None:
        """Take or release a lock on a file."""
        self.strike("flock", descriptor, lambda: flock(descriptor, operation))

    def __enter__(self) -> Self:
        reaching = _reaching()
        self.entered = True
        self._here = threading.current_thread()
        self._ours = {self._here}
        for names, modules in reaching:
            self._stand_in(names, modules)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._before:
            names, name, before = self._before.pop()
            if before is None:
                del names[name]
            else:
                names[name] = before

    def is_here(self) -> bool:
        """Whether this is the thread that entered the context."""
        return threading.current_thread() is self._here

    def is_ours(self) -> bool:
        """Whether this thread runs the code under test."""
        return threading.current_thread() in self._ours

    def named(self, name: str, where: object, arguments: tuple[Any, ...]) -> str:
        """Return a function's name, and whether it is about writing where that makes a difference."""
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
        """Make a thread, whose calls are seen as well if it is one of the code under test."""
        thread = threading.Thread(*arguments, **named)
        if self.is_ours():
            self._ours.add(thread)
        return thread

    def _stand_in(self, names: dict[str, Any], modules: tuple[str, ...]) -> None:
        for name in modules:
            real = names[name]
            self._before.append((names, name, real))
            if (seen := self._seen.get(id(real))) is None:
                seen = self._seen[id(real)] = _SeenModule(real, self)
            names[name] = seen
        if "open" not in names:
            self._before.append((names, "open", None))
            names["open"] = self._open

    def _open(self, file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        writes = bool(set(mode) & set("wax+"))
        if isinstance(file, int):
            self._written.discard(file)
            opened = builtins.open(file, mode, *arguments, **named)  # noqa: SIM115 - its user closes it
        else:
            name = "open to write" if writes else "open"
            opened = self.strike(name, file, lambda: builtins.open(file, mode, *arguments, **named))  # noqa: SIM115 - its user closes it
        return _SeenFile(opened, self, file, writes=writes)


@cache
def _reaching() -> tuple[tuple[dict[str, Any], tuple[str, ...]], ...]:
    """Return the names of each module of the builder, and which of them lead to the system."""
    every = [vars(module) for module in builder_modules()]
    return tuple((names, tuple(name for name in _MODULES if names.get(name) is not None)) for names in every)


class _SeenModule:
    """A module whose calls to the system are seen."""

    def __init__(self, module: Any, seam: IoSeam) -> None:
        self._module = module
        self._seam = seam

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._module, name)
        setattr(self, name, found := self._stand_in_for(name, real))
        return found

    def _stand_in_for(self, name: str, real: Any) -> Any:
        if name == "flock":
            return lambda descriptor, operation: self._seam.lock(descriptor, operation, real)
        if name == "path":
            return _SeenPaths(real, self._seam)
        if name in ("TemporaryFile", "mkdtemp", "mkstemp"):
            return self._making(name, real)
        if name == "access":
            return self._asking(real)
        if real is threading.Thread:
            return self._seam.make_thread
        return self._guarded(name, real) if name in CALLS else real

    def _asking(self, real: Callable[..., bool]) -> Callable[..., bool]:
        """A failing system answers no, as it does where access is refused."""

        def call(where: Any, *arguments: Any, **named: Any) -> bool:
            try:
                return bool(self._seam.strike("access", where, lambda: real(where, *arguments, **named)))
            except OSError:
                return False

        return call

    def _making(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(**named: Any) -> Any:
            made = self._seam.strike(name, named.get("dir"), lambda: real(**named))
            if name == "mkstemp":
                self._seam.note_opened(made[0])
            return _SeenFile(made, self._seam, name, writes=True) if name == "TemporaryFile" else made

        return call

    def _guarded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(where: Any = ".", *arguments: Any, **named: Any) -> Any:
            shown = self._seam.named(name, where, arguments)
            half = None
            if name in ("read", "write", "pwrite") and _half(arguments[0]):
                half = lambda: real(where, _half(arguments[0]), *arguments[1:])  # noqa: E731
            result = self._seam.strike(shown, where, lambda: real(where, *arguments, **named), half)
            if shown == "open to write":
                self._seam.note_opened(result)
            return result

        return call


class _SeenPaths:
    """``os.path``, whose questions to the system are seen."""

    def __init__(self, module: Any, seam: IoSeam) -> None:
        self._module = module
        self._seam = seam

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._module, name)
        setattr(self, name, found := self._asking(_ASKING[name], real) if name in _ASKING else real)
        return found

    def _asking(self, name: str, real: Callable[[Any], bool]) -> Callable[[Any], bool]:
        def call(where: Any) -> bool:
            try:
                return bool(self._seam.strike(name, where, lambda: real(where)))
            except OSError:
                return False

        return call


class _SeenFile:
    """An open file whose calls to the system are seen, as far as they are made at once: a buffer hides the others."""

    def __init__(self, file: Any, seam: IoSeam, where: object, *, writes: bool) -> None:
        self._file = file
        self._seam = seam
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
            return self._seam.strike(shown, self._where, lambda: real(*arguments), half)

        return call


def _half(data: Any) -> Any:
    """Return the first half of some bytes, or half of a number of them; nothing where there is no half."""
    if isinstance(data, int):
        return data // 2 if data > 1 else 0
    return memoryview(data)[: len(data) // 2]
