"""Control groups of a command's own: the kernel's walls around its memory, and around how many processes it has.

A group is made below this process's own, or, in cgroup v2, beside it, where a group with processes has no others below
it. Nobody has to be root for that, where the group was handed over.

Who makes a group locks its folder. A folder that nobody has locked was left behind by a killed process, and the next
one removes it.

Sources: cgroups(7); Linux, Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v1/pids.rst and cgroup-v2.rst.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress

from kubeimage.values import dataclass

_PREFIX = "kubeimage-"
_PATIENCE = 2.0
_PAUSE = 0.001
_TRIES = 16
# The shell's own words about a group would stand in the command's output.
_JOIN = (
    'n=$1; shift; while [ "$n" -gt 0 ]; do { echo 0 >"$1/cgroup.procs"; } 2>/dev/null '
    '|| { echo "it cannot join its control group"; exit 1; }; shift; n=$((n - 1)); done; exec "$@"'
)


class CgroupError(Exception):
    """No group can be made here; its text is the cause."""


@dataclass(frozen=True)
class Hierarchy:
    """A tree of groups that this process is in.

    Shape: ``own`` is the folder of its own group, and ``top`` the highest one that is seen here. ``version`` is 1 or 2.
    """

    version: int
    own: str
    top: str


@dataclass(frozen=True)
class Bounds:
    """What all processes of a group may have together. Units: ``memory`` in bytes; None is no limit."""

    memory: int | None = None
    pids: int | None = None

    @property
    def controllers(self) -> tuple[str, ...]:
        """The names of what keeps them."""
        limits = (("memory", self.memory), ("pids", self.pids))
        return tuple(name for name, limit in limits if limit is not None)


@dataclass(frozen=True)
class Groups:
    """Groups that one command is to be in. Shape: ``folders`` are (controller, version, folder)."""

    folders: tuple[tuple[str, int, str], ...]

    @property
    def prefix(self) -> tuple[str, ...]:
        """The argv that puts what follows into the groups."""
        folders = dict.fromkeys(folder for _, _, folder in self.folders)
        return ("/bin/sh", "-c", _JOIN, "kubeimage", str(len(folders)), *folders)

    def refused(self) -> str | None:
        """Return the controller that has refused something, or has killed for it."""
        for controller, version, folder in self.folders:
            name, key = _EVENTS[controller, version]
            if _count(os.path.join(folder, name), key):
                return controller
        return None


_EVENTS = {
    ("memory", 1): ("memory.oom_control", "oom_kill"),
    ("memory", 2): ("memory.events", "oom_kill"),
    ("pids", 1): ("pids.events", "max"),
    ("pids", 2): ("pids.events", "max"),
}


@contextmanager
def groups_for(bounds: Bounds, hierarchies: Mapping[str, Hierarchy] | None = None) -> Iterator[Groups]:
    """Make groups that keep ``bounds``, and remove them at the end, when all their processes are gone.

    Shape:  ``hierarchies`` say where each controller is; by default it is looked up.
    Raises: CgroupError where they cannot be kept by groups.
    """
    found = own_hierarchies() if hierarchies is None else hierarchies
    missing = [name for name in bounds.controllers if name not in found]
    if missing:
        raise CgroupError(f"no control group here counts {' or '.join(missing)}")
    with ExitStack() as stack:
        made: dict[str, str] = {}
        folders = []
        for controller in bounds.controllers:
            hierarchy = found[controller]
            if hierarchy.own not in made:
                wanted = [one for one in bounds.controllers if found[one] == hierarchy]
                made[hierarchy.own] = stack.enter_context(_group(hierarchy, wanted))
            folders.append((controller, hierarchy.version, made[hierarchy.own]))
        for controller, version, folder in folders:
            _set_bound(controller, version, folder, bounds)
        yield Groups(tuple(folders))


def own_hierarchies() -> dict[str, Hierarchy]:
    """Return where each controller's groups are, for those that this process can see."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = file.read().splitlines()
    except OSError:
        return {}
    return hierarchies_of(lines, mounts)


def hierarchies_of(lines: Sequence[str], mounts: Sequence[str]) -> dict[str, Hierarchy]:
    """Return the hierarchies that the lines of ``/proc/self/cgroup`` and ``/proc/self/mountinfo`` tell of."""
    found: dict[str, Hierarchy] = {}
    # A controller is in one hierarchy at a time; what no other one has is in the unified one.
    for line in sorted(lines, key=lambda line: line.startswith("0::")):
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",") if controllers else []
        for top, root, kind, options in _cgroup_mounts(mounts):
            own = _below(path, root, top)
            if own is None:
                continue
            if kind == "cgroup" and names and set(names) <= set(options):
                found |= dict.fromkeys(names, Hierarchy(1, own, top))
            elif kind == "cgroup2" and not controllers:
                offered = _words(os.path.join(own, "cgroup.controllers"))
                found = dict.fromkeys(offered, Hierarchy(2, own, top)) | found
    return found


def _cgroup_mounts(mounts: Sequence[str]) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield the mount point, the folder that is mounted there, the kind and the options of each."""
    for line in mounts:
        before, _, behind = line.partition(" - ")
        kind, _, options = behind.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            root, top = (_unescaped(one) for one in before.split(" ")[3:5])
            yield top, root, kind, options.split(",")


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _below(path: str, root: str, top: str) -> str | None:
    """Return where a group is seen; None where it is not."""
    inner = os.path.relpath(path, root)
    if inner == ".." or inner.startswith("../") or "/.." in path:
        return None
    return os.path.normpath(os.path.join(top, inner))


@contextmanager
def _group(hierarchy: Hierarchy, controllers: Sequence[str]) -> Iterator[str]:
    folder, lock = _made(hierarchy, controllers)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def _made(hierarchy: Hierarchy, controllers: Sequence[str]) -> tuple[str, int]:
    """Make a group, and return its folder and what holds its lock.

    Raises: CgroupError.
    """
    cause = "no control group can be made here"
    for parent in _parents(hierarchy):
        try:
            if hierarchy.version == 2:
                _enable(parent, controllers, may_change=parent == hierarchy.own)
            _sweep(parent)
            return _locked(parent)
        except OSError as error:
            cause = f"no control group can be made in {parent}: {error.strerror}"
    raise CgroupError(cause)


def _parents(hierarchy: Hierarchy) -> Iterator[str]:
    """Yield where a group may be made: in the own one; with cgroup v2 also higher."""
    folder = hierarchy.own
    yield folder
    while hierarchy.version == 2 and folder != hierarchy.top and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
        yield folder


def _enable(parent: str, controllers: Sequence[str], *, may_change: bool) -> None:
    """Make sure that groups below ``parent`` have the controllers; those of others are left as they are.

    Raises: OSError.
    """
    path = os.path.join(parent, "cgroup.subtree_control")
    missing = [one for one in controllers if one not in _words(path)]
    if missing and not may_change:
        raise OSError(errno.ENOTSUP, f"groups there do not count {' or '.join(missing)}")
    if missing:
        _write(path, " ".join(f"+{one}" for one in missing))


def _locked(parent: str) -> tuple[str, int]:
    for _ in range(_TRIES):
        folder = os.path.join(parent, f"{_PREFIX}{secrets.token_hex(8)}")
        os.mkdir(folder)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Somebody who removes what is left over may have been faster.
        if os.path.isdir(folder):
            return folder, lock
        os.close(lock)
    raise OSError(errno.EBUSY, "others remove them")


def _sweep(parent: str) -> None:
    """Remove the groups of processes that were killed; those that are in use are locked."""
    for name in os.listdir(parent):
        if name.startswith(_PREFIX):
            with suppress(OSError):
                _remove_unused(os.path.join(parent, name))


def _remove_unused(folder: str) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rmdir(folder)
    finally:
        os.close(lock)


def _remove(folder: str) -> None:
    """Remove a group; the kernel may still be counting down what has ended."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                # The next one sweeps it.
                return
            time.sleep(_PAUSE)
        else:
            return


def _set_bound(controller: str, version: int, folder: str, bounds: Bounds) -> None:
    """Write a limit.

    Raises: CgroupError.
    """
    try:
        for name, value, is_needed in _limits(controller, version, bounds):
            path = os.path.join(folder, name)
            if is_needed or os.path.exists(path):
                _write(path, value)
    except OSError as error:
        raise CgroupError(f"the limit of {controller} cannot be set: {error.strerror}") from error


def _limits(controller: str, version: int, bounds: Bounds) -> Iterator[tuple[str, str, bool]]:
    """Yield files, what is written to them, and whether all kernels have them; without swap a limit is one."""
    if controller == "pids":
        yield "pids.max", str(bounds.pids), True
    elif version == 1:
        yield "memory.limit_in_bytes", str(bounds.memory), True
        yield "memory.memsw.limit_in_bytes", str(bounds.memory), False
    else:
        yield "memory.max", str(bounds.memory), True
        yield "memory.swap.max", "0", False
        yield "memory.oom.group", "1", False


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _words(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []


def _count(path: str, key: str) -> int:
    words = _words(path)
    pairs = dict(zip(words[::2], words[1::2], strict=False))
    value = pairs.get(key, "0")
    return int(value) if value.isdigit() else 0
