"""Commands behind Landlock, for hosts that let nobody make namespaces: it needs no right, only Linux 6.2.

A command reads what `kubeimage.run.view` lists and writes to its rootfs and its TMPDIR; a seccomp filter refuses what
Landlock does not know of. What stays open is said in docs/decisions, and once in a build.

Sources: landlock(7); Linux, Documentation/userspace-api/landlock.rst (what each version of its ABI adds).
"""

from __future__ import annotations

import base64
import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence

from kubeimage.errors import SandboxError
from kubeimage.image.platform import Platform
from kubeimage.protocols.running import Command, CommandResult, Mount
from kubeimage.run import seccomp
from kubeimage.run.environment import command_environment
from kubeimage.run.foreign import check_platform
from kubeimage.run.imageroot import refuse_image
from kubeimage.run.inside import Plan
from kubeimage.run.limits import refuse_tmp_size
from kubeimage.run.privatenet import refuse_private
from kubeimage.run.process import READY, run_inside
from kubeimage.run.secretfiles import refuse_secret_files
from kubeimage.run.view import host_view
from kubeimage.settings import RunSettings

OLDEST_ABI = 3
"""Before it, a command could empty files that it must not write to."""

_CREATE_RULESET, _ASK_VERSION = 444, 1
# uapi/linux/landlock.h: each bit, and the ABI that brought it.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_FIRST_FILE_RIGHTS = (1 << 13) - 1
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_FILE_RIGHTS = {1: _FIRST_FILE_RIGHTS, 2: 1 << 13, 3: _TRUNCATE, 5: _IOCTL_DEVICE}
_BIND_TCP, _CONNECT_TCP = 1, 2
_NETWORK_SINCE, _SCOPE_SINCE = 4, 6
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2

_DEVICES = ("/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero")
_READ = _READ_FILE | _READ_DIR
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_SHELL = READY + 'exec /bin/sh -c "$1"'


def landlock_abi() -> int:
    """Return the version of Landlock's ABI that this kernel has; 0 where it has none, or this process may not ask."""
    libc = ctypes.CDLL(None)
    return max(
        0, int(libc.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION)))
    )


def why_not(abi: int | None = None) -> str | None:
    """Return why no RUN can be walled by Landlock here; None where it can."""
    found = landlock_abi() if abi is None else abi
    if found == 0:
        return "this kernel has no Landlock, or it is switched off"
    if found < OLDEST_ABI:
        return f"Landlock here has ABI {found}, and {OLDEST_ABI} is needed (Linux 6.2)"
    if not seccomp.has_table():
        return f"there is no seccomp filter for {os.uname().machine} machines"
    return None


def left_open(abi: int | None = None) -> str:
    """Return what Landlock does not wall with this ABI, as the rest of a sentence that begins with "a RUN"."""
    found = landlock_abi() if abi is None else abi
    signals = "" if found >= _SCOPE_SINCE else "may signal your other processes, "
    return f"{signals}sees names and sizes of all files, and may change modes and times of files that are yours"


def ruleset(abi: int, *, network: bool) -> tuple[int, int, int]:
    """Return what a kernel with this ABI can refuse: rights on files, rights on TCP, and what it scopes."""
    files = sum(rights for since, rights in _FILE_RIGHTS.items() if since <= abi)
    tcp = _BIND_TCP | _CONNECT_TCP if abi >= _NETWORK_SINCE and not network else 0
    scoped = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if abi >= _SCOPE_SINCE else 0
    return files, tcp, scoped


def rules(handled: int, writable: Sequence[str], readable: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield paths of the host and the rights on them, out of those that are ``handled``."""
    for path in writable:
        yield path, handled & ~(_MAKE_CHAR | _MAKE_BLOCK)
    for path in readable:
        rights = _READ | _EXECUTE
        yield path, handled & (rights if os.path.isdir(path) else rights & _ON_FILES)
    yield "/proc", handled & _READ
    for path in filter(os.path.exists, _DEVICES):
        yield path, handled & (_READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEVICE)


class LandlockRunner:
    """Runs commands behind Landlock.

    Shape: ``host`` is the environment that proxies are taken from; ``abi`` is the newest version to use, by default
           all that there is; ``settings`` are what a command sees beside what all see, and what it may use.
    """

    name = "landlock"

    def __init__(
        self, host: Mapping[str, str] | None = None, *, abi: int | None = None, settings: RunSettings | None = None
    ) -> None:
        self._host = os.environ if host is None else host
        self._abi = landlock_abi() if abi is None else min(abi, landlock_abi())
        self._settings = settings or RunSettings()

    def check_platform(self, platform: Platform) -> None:
        """Make sure that programs for another machine can run here.

        Raises: PlatformMismatchError.
        """
        check_platform(platform)

    def run(self, command: Command, mount: Mount, output: Callable[[bytes], None]) -> CommandResult:
        """Run ``command`` in the rootfs as its working directory.

        Raises: SandboxError where Landlock is missing or too old, or the command cannot be started.
        """
        refuse_image(command, "behind Landlock")
        refuse_secret_files(command, "behind Landlock")
        complaint = why_not(self._abi)
        if complaint is not None:
            raise SandboxError(f"a RUN cannot be walled by Landlock: {complaint}", hint=_HINT)
        refuse_tmp_size(self._settings, "behind Landlock")
        if command.network and self._settings.network == "private":
            raise refuse_private("behind Landlock")
        temporary = tempfile.mkdtemp(prefix="tmp-", dir=os.path.dirname(mount.rootfs))
        try:
            plan = self._plan(command, mount.rootfs, temporary)
            return run_inside(mount.prefix, plan, output, command, self._settings)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _plan(self, command: Command, rootfs: str, temporary: str) -> Plan:
        own = {"TMPDIR": temporary, **command.variables}
        handled = ruleset(self._abi, network=command.network)
        readable = [shown.source for shown in host_view(self._settings.paths) if not shown.is_link]
        accounts = ("/etc/passwd", "/etc/group")
        seen = [path for path in (*readable, *accounts) if os.path.exists(path)]
        program = seccomp.make_filter(seccomp.landlock_rules(network=command.network))
        return Plan(
            argv=("/bin/sh", "-c", _SHELL, "kubeimage", command.script),
            environment={**command_environment(rootfs, temporary, own, self._host), "PWD": rootfs},
            directory=rootfs,
            ruleset=handled,
            rules=tuple(rules(handled[0], (rootfs, temporary), seen)),
            capabilities=(),
            filter=base64.b64encode(program).decode(),
            memory=self._settings.memory,
            supervised=True,
        )


_HINT = "leave out --isolation=landlock for a sandbox of namespaces, or run it without walls by --isolation=none"
