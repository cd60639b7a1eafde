"""The program that goes before a RUN's command where bubblewrap cannot: it puts up walls, then turns into the command.

`kubeimage.run` starts this file as a script of its own, with the interpreter that builds and nothing but its standard
library, and hands over a `Plan` as JSON on a descriptor. All that it does it does to itself: a new root of bind mounts,
Landlock, fewer capabilities, a seccomp filter.

Sources: landlock(7), capabilities(7), seccomp(2), mount(2), prctl(2); Linux, uapi/linux/landlock.h.
"""

from __future__ import annotations

import base64
import ctypes
import dataclasses
import errno
import fcntl
import json
import os
import re
import resource
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

READY = b"\0"
"""What is written when the command is about to begin; what came before is what failed."""

# The same numbers on every architecture, as all calls since Linux 5.1.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_RULE_PATH_BENEATH = 1
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 22, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 36, 38, 47
_SECCOMP_MODE_FILTER, _AMBIENT_CLEAR = 2, 4
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_BIND, _MS_MOVE, _MS_REC, _MS_PRIVATE = 4096, 8192, 16384, 1 << 18
# What a mount has and must keep: (as statvfs(2) says it, as mount(2) takes it).
_KEPT_FLAGS = ((2, 2), (4, 4), (8, 8), (1024, 1024), (2048, 2048), (4096, 1 << 21))
_CAPABILITY_VERSION = 0x20080522
_LAST_CAPABILITY = 63
_SIOCSIFFLAGS, _IFF_UP_AND_RUNNING = 0x8914, 0x41
_KILLING_PAUSE = 0.001
_STAGES = ("/tmp", "/var/tmp", "/mnt", "/var", "/run")  # noqa: S108 - a mount point for these processes alone
_OCTAL = re.compile(rb"\\([0-7]{3})")

libc = ctypes.CDLL(None, use_errno=True)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done before a command, and what it is.

    Shape: ``view`` are mounts of a new root, each a list of a word and its paths (see `_MAKERS`); none keeps the root
           there is. ``ruleset`` are the rights that Landlock handles, for files, for the network, and what it scopes;
           ``rules`` are (path, rights). ``capabilities`` are the numbers of those that stay; None keeps all.
           ``filter`` is a seccomp program, in base64. With ``supervised`` a process of its own starts the command, and
           lives until nothing of that does.
    Units: ``memory`` is how many bytes each process may have, ``processes`` how many their user may have.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    view: Sequence[Sequence[str]] = ()
    hostname: str | None = None
    ruleset: Sequence[int] | None = None
    rules: Sequence[tuple[str, int]] = ()
    capabilities: Sequence[int] | None = None
    filter: str | None = None
    memory: int | None = None
    processes: int | None = None
    supervised: bool = False

    def to_json(self) -> bytes:
        """Return the plan as a line that `main` reads."""
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"


def main(descriptor: int) -> int:
    """Do what the plan on ``descriptor`` says; return the command's status where it is supervised.

    On 0, which stays open for what `_supervise` makes of it, the plan is a line.
    """
    with open(descriptor, "rb", buffering=0, closefd=descriptor != 0) as file:
        text = bytearray()
        while not text.endswith(b"\n") and (piece := file.read(1 << 16)):
            text += piece
        plan = Plan(**json.loads(text))
    if plan.supervised:
        return _supervise(plan)
    _become(plan)
    return 1


def _become(plan: Plan) -> None:
    """Put up the walls and turn into the command; say what failed, and return, where that cannot be."""
    try:
        if plan.view:
            _enter(plan.view, plan.hostname)
        os.chdir(plan.directory)
        if plan.memory is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (plan.memory, plan.memory))
        if plan.processes is not None:
            resource.setrlimit(resource.RLIMIT_NPROC, (plan.processes, plan.processes))
        if plan.capabilities is not None:
            drop_capabilities(plan.capabilities)
        if plan.ruleset is not None or plan.filter is not None:
            prctl("give up new rights", _PR_SET_NO_NEW_PRIVS, 1)
        if plan.ruleset is not None:
            _landlock(plan.ruleset, plan.rules)
        if plan.filter is not None:
            load_filter(base64.b64decode(plan.filter))
        os.execve(plan.argv[0], list(plan.argv), dict(plan.environment))  # noqa: S606 - the RUN's own shell
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        os.write(1, f"{error.strerror}{name}\n".encode("utf-8", "surrogateescape"))


def check(what: str, result: int, path: str | None = None) -> int:
    """Return what a call returned.

    Raises: OSError where it failed.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {what}: {os.strerror(number)}", path)
    return result


def syscall(what: str, number: int, *arguments: object) -> int:
    """Make a system call by its number.

    Raises: OSError.
    """
    return check(what, int(libc.syscall(ctypes.c_long(number), *arguments)))


def prctl(what: str, option: int, *arguments: int) -> int:
    """Call prctl(2).

    Raises: OSError.
    """
    padded = [*arguments, 0, 0, 0, 0][:4]
    return check(what, int(libc.prctl(option, *(ctypes.c_ulong(value) for value in padded))))


# --- a new root ---------------------------------------------------------------------------------------------------


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Call mount(2).

    Raises: OSError.
    """
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    options = None if data is None else data.encode()
    check(f"mount {kind or source}", libc.mount(*texts, ctypes.c_ulong(flags), options), target)


def _enter(view: Sequence[Sequence[str]], hostname: str | None) -> None:
    """Put the view together on a new file system in memory, and make that the root.

    It is moved over the old one, as an initial RAM disk does it: pivot_root(2) is what Docker's filter refuses to root.
    """
    mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    # What is bound may lie below the stage, so it is opened before that is mounted over.
    steps = [(word, _opened(paths[0]) if word in _BINDS else paths[0], *paths[1:]) for word, *paths in view]
    stage = next(path for path in _STAGES if os.path.isdir(path))
    mount("tmpfs", stage, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755")
    os.chdir(stage)
    for word, *paths in steps:
        _MAKERS[word](*paths)
    remount_readonly(".")
    mount(".", "/", None, _MS_MOVE)
    os.chroot(".")
    os.chdir("/")
    if hostname is not None:
        socket.sethostname(hostname)
    with suppress(OSError):
        raise_loopback()


def _opened(path: str) -> str:
    """Return a name for ``path`` that stays, whatever is mounted over it."""
    return f"/proc/self/fd/{os.open(path, os.O_PATH | os.O_CLOEXEC)}"


def _below(path: str) -> str:
    return path.lstrip("/") or "."


def _place(source: str, target: str) -> str:
    """Make a mount point for ``source``."""
    place = _below(target)
    if os.path.isdir(source):
        os.makedirs(place, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o444))
    return place


def _bind(source: str, target: str) -> None:
    place = _place(source, target)
    mount(source, place, None, _MS_BIND | _MS_REC)


def _bind_readonly(source: str, target: str) -> None:
    _bind(source, target)
    place = os.path.realpath(_below(target))
    for point in [place, *_mounts_below(place)]:
        remount_readonly(point)


def _mounts_below(place: str) -> list[str]:
    with open("/proc/self/mountinfo", "rb") as file:
        points = [_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), line.split()[4]) for line in file]
    return [os.fsdecode(point) for point in points if point.startswith(os.fsencode(f"{place}/"))]


def remount_readonly(point: str) -> None:
    """Make a mount read-only; what else it has, such as nosuid, stays.

    Raises: OSError.
    """
    has = os.statvfs(point).f_flag
    kept = sum(flag for said, flag in _KEPT_FLAGS if has & said)
    mount("none", point, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)


def _link(text: str, target: str) -> None:
    os.makedirs(os.path.dirname(_below(target)) or ".", exist_ok=True)
    os.symlink(text, _below(target))


def _write(text: str, target: str) -> None:
    os.makedirs(os.path.dirname(_below(target)) or ".", exist_ok=True)
    with open(_below(target), "x", encoding="utf-8") as file:
        file.write(text)
    os.chmod(_below(target), 0o444)


def _new(kind: str, target: str, options: str) -> None:
    os.makedirs(_below(target), exist_ok=True)
    mount(kind, _below(target), kind, _MS_NOSUID | _MS_NODEV * (kind != "devpts"), options or None)
    if kind == "proc":
        remount_readonly(_below(target))


_BINDS = {"bind", "ro-bind"}
_MAKERS: dict[str, Callable[..., None]] = {
    "bind": _bind,
    "ro-bind": _bind_readonly,
    "link": _link,
    "file": _write,
    "new": _new,
}


def raise_loopback() -> None:
    """Make what listens on 127.0.0.1 reachable; in the host's own network it can be already."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP_AND_RUNNING))


# --- rights -------------------------------------------------------------------------------------------------------


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _landlock(ruleset: Sequence[int], rules: Sequence[tuple[str, int]]) -> None:
    handled = _Ruleset(*ruleset)
    # An older kernel takes the larger structure as long as what it does not know is zero.
    size = ctypes.c_size_t(ctypes.sizeof(handled))
    descriptor = syscall("make a Landlock ruleset", _LANDLOCK_CREATE, ctypes.byref(handled), size, ctypes.c_uint32(0))
    for path, rights in rules:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = _PathBeneath(rights, parent)
        arguments = (ctypes.c_int(descriptor), _RULE_PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0))
        syscall(f"add a Landlock rule for {path}", _LANDLOCK_ADD, *arguments)
        os.close(parent)
    syscall("enter the Landlock ruleset", _LANDLOCK_RESTRICT, ctypes.c_int(descriptor), ctypes.c_uint32(0))
    os.close(descriptor)


def drop_capabilities(kept: Sequence[int]) -> None:
    """Drop all capabilities but those numbers, for good.

    Raises: OSError.
    """
    bound_capabilities(kept)
    limit_capabilities(kept)


def bound_capabilities(kept: Sequence[int]) -> None:
    """Keep programs that are started from here on from having other capabilities than those numbers.

    Raises: OSError.
    """
    for number in range(_LAST_CAPABILITY + 1):
        if number not in kept and libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0) < 0:
            # The last one that this kernel knows has been passed; an ordinary user has none to drop.
            if ctypes.get_errno() in (errno.EINVAL, errno.EPERM):
                break
            check("drop a capability", -1)


def limit_capabilities(kept: Sequence[int]) -> None:
    """Drop all capabilities of this process but those numbers.

    Raises: OSError.
    """
    with suppress(OSError):
        prctl("clear ambient capabilities", _PR_CAP_AMBIENT, _AMBIENT_CLEAR)
    have = _capabilities()
    wanted = sum(1 << number for number in kept)
    sets = [value & wanted for value in have]
    _capset(sets)


def _capability_words(sets: Sequence[int]) -> bytes:
    words = [value >> shift & 0xFFFFFFFF for shift in (0, 32) for value in sets]
    return struct.pack("6I", *words)


def _capabilities() -> list[int]:
    """Return the effective, permitted and inheritable sets."""
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    data = ctypes.create_string_buffer(24)
    check("read its capabilities", libc.capget(header, data))
    words = struct.unpack("6I", data.raw)
    return [words[index] | words[index + 3] << 32 for index in range(3)]


def _capset(sets: Sequence[int]) -> None:
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    check("give up capabilities", libc.capset(header, _capability_words([sets[0], sets[1], 0])))


def load_filter(program: bytes) -> None:
    """Load a seccomp filter.

    Raises: OSError.
    """
    value = _Program(len(program) // 8, program)
    result = libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(value), 0, 0)
    check("load a seccomp filter", result)


# --- a command's end ----------------------------------------------------------------------------------------------


def _supervise(plan: Plan) -> int:
    """Start the command in a session of its own and wait for it; then, or when our input ends, kill all it started.

    Whatever leaves its parent becomes a child of this process, as the nearest subreaper above it.
    """
    prctl("adopt what the command leaves", _PR_SET_CHILD_SUBREAPER, 1)
    wakeup, signals = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(signals)
    child = os.fork()
    if child == 0:
        _begin(plan)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    status = None
    while status is None:
        ready, _, _ = select.select([0, wakeup], [], [])
        if 0 in ready and not os.read(0, 1):
            break
        with suppress(BlockingIOError):
            os.read(wakeup, 4096)
        status = reap(child)
    _kill_descendants()
    return 128 + signal.SIGKILL if status is None else _shell_status(status)


def _begin(plan: Plan) -> None:
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        prctl("end with its parent", _PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(1, 2)
        _become(plan)
    finally:
        os._exit(1)


def reap(child: int) -> int | None:
    """Wait for whatever has ended; return the status of ``child`` if that has."""
    found = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                found = status
    return found


def _shell_status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _kill_descendants() -> None:
    """Kill until there is nobody left: what is forked meanwhile is somebody's child, and in the end ours.

    All are stopped before the first is killed, or a shell would still say that its child was.
    """
    while True:
        left = family(os.getpid())
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in left:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        reap(0)
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        select.select([], [], [], _KILLING_PAUSE)


@dataclasses.dataclass(frozen=True)
class Relative:
    """A process. Units: ``threads`` is how many it has, ``resident`` how many pages it has in memory."""

    parent: int
    threads: int
    resident: int


def family(ancestor: int) -> dict[int, Relative]:
    """Return the processes that descend from one, without this, by their numbers."""
    all_there_are = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
                all_there_are[int(name)] = Relative(int(fields[1]), int(fields[17]), int(fields[21]))
    found = {ancestor}
    grows = True
    while grows:
        grown = found | {pid for pid, one in all_there_are.items() if one.parent in found}
        grows = grown != found
        found = grown
    return {pid: one for pid, one in all_there_are.items() if pid in found and pid != ancestor}


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
