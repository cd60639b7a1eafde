"""What a RUN may use, and how that is kept: by the kernel where a control group can be made, else by looking often.

Either way a RUN that comes to its limit is ended, and says which it was. A RUN that went on without a process that it
could not start would be another RUN.
"""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from kubeimage.errors import SandboxError
from kubeimage.namespaces import may_make_namespaces
from kubeimage.run import inside
from kubeimage.run.cgroups import Bounds, CgroupError, Groups, groups_for
from kubeimage.settings import RunSettings

# The keeper, its watch, and bubblewrap's two, without the command's shell.
_AROUND = 4
# So many more are let in that whoever looks sees them first: who is refused by the kernel goes unseen.
_SEEN = 256
_COUNTS_BY_NAMESPACE = (5, 14)
_LOOK = 0.02
_PAGE = os.sysconf("SC_PAGE_SIZE")
_OWN_MEMORY = (b"Pss_Anon:", b"Pss_Shmem:")
_UNITS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


class Limits(Protocol):
    """What keeps a command within its limits."""

    patience: float
    """How many seconds may go by until `broken` is asked again."""

    @property
    def prefix(self) -> tuple[str, ...]:
        """The argv that what is limited starts with."""
        ...

    def broken(self, first: int) -> str | None:
        """Return what the command of the process ``first`` had more of than it may, as a sentence; None for nothing."""
        ...


@contextmanager
def kept(settings: RunSettings) -> Iterator[Limits | None]:
    """Keep the limits of one command; None where there are none."""
    if settings.memory is None and settings.pids is None:
        yield None
        return
    with ExitStack() as stack:
        try:
            yield _Walled(settings, stack.enter_context(groups_for(_bounds(settings))))
        except CgroupError:
            yield _Watched(settings)


def why_watched(settings: RunSettings) -> str | None:
    """Return what is said where limits are kept without a control group; None where there are none, or there is one."""
    names = [name for name, one in (("--memory", settings.memory), ("--pids", settings.pids)) if one is not None]
    try:
        if names:
            with groups_for(_bounds(settings)):
                pass
    except CgroupError as error:
        verb = "is" if len(names) == 1 else "are"
        return f"{' and '.join(names)} {verb} kept by looking, some 50 times a second: {error}"
    return None


def refuse_tmp_size(settings: RunSettings, where: str, hint: str = "leave it out, or --isolation=sandbox") -> None:
    """Refuse a limit that cannot be kept where a command has no /tmp of its own.

    Raises: SandboxError.
    """
    if settings.tmp_size is not None:
        raise SandboxError(f"--tmp-size cannot be kept {where}: a RUN has no /tmp of its own there", hint=hint)


def size_in_memory(settings: RunSettings) -> int | None:
    """Return how large a file system in memory may become: what lies there is memory too. Units: bytes."""
    sizes = [one for one in (settings.tmp_size, settings.memory) if one is not None]
    return min(sizes) if sizes else None


def most_processes(settings: RunSettings) -> int | None:
    """Return how many processes a user may have in a sandbox, as a wall behind the one who looks; None for no limit.

    An ordinary user's sandbox is a user namespace, and since Linux 5.14 that counts its own. Root is never refused.
    """
    if settings.pids is None or may_make_namespaces() or _kernel() < _COUNTS_BY_NAMESPACE:
        return None
    wanted, hard = settings.pids + _AROUND + _SEEN, resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])


def _bounds(settings: RunSettings) -> Bounds:
    return Bounds(settings.memory, settings.pids + _AROUND + 1 if settings.pids is not None else None)


class _Walled:
    """Limits that the kernel keeps."""

    patience = 0.02

    def __init__(self, settings: RunSettings, groups: Groups) -> None:
        self._settings = settings
        self._groups = groups
        self.prefix = groups.prefix

    def broken(self, first: int) -> str | None:  # noqa: ARG002 - the protocol's
        controller = self._groups.refused()
        return _sentence(self._settings, controller) if controller is not None else None


class _Watched:
    """Limits that are looked after; those processes that start a command and hold it are none of its own.

    A look at every process takes milliseconds, in which a fork bomb doubles. So it comes as soon as this machine has
    more processes than it had, and else now and then.
    """

    patience = 0.002
    prefix: tuple[str, ...] = ()

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._next = 0.0
        self._threads = _all_threads()

    def broken(self, first: int) -> str | None:
        now, threads = time.monotonic(), _all_threads()
        if now < self._next and threads <= self._threads + (self._settings.pids or threads) // 2:
            return None
        self._next, self._threads = now + _LOOK, threads
        return self._look(first)

    def _look(self, first: int) -> str | None:
        family = inside.family(first)
        threads = sum(one.threads for one in family.values())
        if self._settings.pids is not None and threads > self._settings.pids + _AROUND:
            return _sentence(self._settings, "pids")
        # What is shared counts several times here, but is quickly asked for.
        resident = sum(one.resident for one in family.values()) * _PAGE
        if self._settings.memory is not None and resident > self._settings.memory:
            own = sum(_own_memory(pid, one.resident * _PAGE) for pid, one in family.items())
            return _sentence(self._settings, "memory") if own > self._settings.memory else None
        return None


def _all_threads() -> int:
    """Return how many threads there are on this machine; 0 where that is not told."""
    try:
        with open("/proc/loadavg", "rb") as file:
            return int(file.read().split()[3].partition(b"/")[2])
    except (OSError, ValueError, IndexError):
        return 0


def _own_memory(pid: int, most: int) -> int:
    """Return a process's share of what it has written, in bytes; ``most`` where that cannot be told."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            lines = [line.split() for line in file]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except OSError:
        return most
    return sum(int(line[1]) << 10 for line in lines if line[0] in _OWN_MEMORY)


def _sentence(settings: RunSettings, controller: str) -> str:
    if controller == "pids":
        return f"more than {settings.pids} processes at once (--pids): stopped"
    return f"more than {_said(settings.memory or 0)} of memory (--memory): stopped"


def _said(size: int) -> str:
    for unit, length in _UNITS:
        if size % length == 0:
            return f"{size // length}{unit}"
    return f"{size} bytes"
