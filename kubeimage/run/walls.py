"""The two programs that put up a sandbox's walls, and what each is told: bubblewrap, and `kubeimage.run.inside`."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from kubeimage.errors import SandboxError
from kubeimage.protocols.running import ShownSecret
from kubeimage.run import inside, seccomp
from kubeimage.run.bubblewrap import find_bwrap
from kubeimage.run.environment import HOST_PATH
from kubeimage.run.limits import most_processes, size_in_memory
from kubeimage.run.process import READY, handed_over, own_interpreter
from kubeimage.run.view import ACCOUNTS, Shown
from kubeimage.settings import RunSettings
from kubeimage.values import dataclass

ROOTFS = "/rootfs"
"""Where the command finds the rootfs, on every host."""

HOME = "/tmp"  # noqa: S108 - the sandbox's own

_HOSTNAME = "kubeimage"
_TMP = ("/tmp", "/var/tmp")  # noqa: S108 - the sandbox's own
# Without CAP_FSETID, which an ordinary user has none of either: a write takes the set-user-id bit off for both.
_CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_SETFCAP": 31,
}
_IN_MEMORY = ("/dev/shm", "/tmp")  # noqa: S108 - the sandbox's own
_SHELL = READY + 'exec /bin/sh -c "$1"'
_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")


@dataclass(frozen=True)
class Walled:
    """A command, and what it is to find. Shape: ``environment`` is all of it; ``new_proc`` is whether /proc is new."""

    script: str
    network: bool
    rootfs: str
    view: Sequence[Shown]
    environment: Mapping[str, str]
    new_proc: bool
    settings: RunSettings
    secrets: tuple[ShownSecret, ...] = ()

    @property
    def shell(self) -> tuple[str, ...]:
        """The argv of the command."""
        return ("/bin/sh", "-c", _SHELL, "kubeimage", self.script)

    @property
    def sizes(self) -> tuple[str, ...]:
        """Mount options of folders in memory."""
        size = size_in_memory(self.settings)
        return (f"size={size}",) if size is not None else ()


def by_bubblewrap(walled: Walled, stack: ExitStack) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the argv that starts a command by bwrap, and the descriptors that it needs; ``stack`` closes them.

    Raises: SandboxError where there is no bwrap, or too many files are open.
    """
    descriptors: list[int] = []

    def hand_over(data: bytes) -> str:
        descriptors.append(stack.enter_context(handed_over(data)))
        return str(descriptors[-1])

    walls = [*namespaces(network=walled.network), *_own_places(walled)]
    # Behind the folders of its own: what is shown may lie below one of them.
    for shown in walled.view:
        walls += ("--symlink" if shown.is_link else "--ro-bind", shown.source, shown.target)
    for path, text in ACCOUNTS.items():
        walls += ("--perms", "0444", "--ro-bind-data", hand_over(text.encode()), path)
    for secret in walled.secrets:
        walls += ("--perms", f"{secret.mode:04o}", "--ro-bind-data", hand_over(secret.value), secret.target)
    walls += ("--bind", walled.rootfs, ROOTFS, "--remount-ro", "/", "--chdir", ROOTFS)
    for name, value in walled.environment.items():
        walls += ("--setenv", name, value)
    if seccomp.has_table():
        walls += ("--seccomp", hand_over(seccomp.make_filter(seccomp.DOCKERS_DEFAULT)))
    arguments = hand_over(b"".join(os.fsencode(wall) + b"\0" for wall in walls))
    return (*limits(walled.settings), find_bwrap(), "--args", arguments, "--", *walled.shell), tuple(descriptors)


def limits(settings: RunSettings) -> tuple[str, ...]:
    """Return the argv that limits each process of what follows.

    Raises: SandboxError where the program for it is missing.
    """
    processes = most_processes(settings)
    memory = (f"--data={settings.memory}",) if settings.memory is not None else ()
    number = (f"--nproc={processes}",) if processes is not None else ()
    if not memory and not number:
        return ()
    prlimit = shutil.which("prlimit", path=HOST_PATH)
    if prlimit is None:
        raise SandboxError("--memory and --pids need the program 'prlimit'", hint="install util-linux")
    return (prlimit, *memory, *number, "--")


def sizes(settings: RunSettings) -> tuple[str, ...]:
    """Return what bwrap is told of the size of the next folder in memory."""
    size = size_in_memory(settings)
    return ("--size", str(size)) if size is not None else ()


def namespaces(*, network: bool) -> Iterator[str]:
    """Yield what bwrap is told of namespaces, capabilities and the environment."""
    yield from ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", _HOSTNAME)
    yield from ("--new-session", "--die-with-parent", "--clearenv", "--cap-drop", "ALL")
    for capability in _CAPABILITIES:
        yield from ("--cap-add", capability)
    if not network:
        yield "--unshare-net"


def _own_places(walled: Walled) -> Iterator[str]:
    # Some of it lets root reach the kernel whatever capabilities it lacks.
    yield from ("--proc", "/proc", "--remount-ro", "/proc") if walled.new_proc else ("--ro-bind", "/proc", "/proc")
    yield from ("--dev", "/dev")
    for folder in _IN_MEMORY:
        yield from (*sizes(walled.settings), "--perms", "1777", "--tmpfs", folder)
    yield from ("--dir", "/var", "--symlink", "../tmp", _TMP[1])


def by_ourselves(walled: Walled, stack: ExitStack) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the argv that starts a command by `kubeimage.run.inside`, in namespaces that are there, as above.

    Raises: SandboxError where too many files are open.
    """
    descriptor = stack.enter_context(handed_over(make_plan(walled).to_json()))
    return (*own_interpreter(), inside.__file__, str(descriptor)), (descriptor,)


def make_plan(walled: Walled, *, supervised: bool = False) -> inside.Plan:
    """Return what `kubeimage.run.inside` is to do for a command in namespaces that are there."""
    program = seccomp.make_filter(seccomp.DOCKERS_DEFAULT) if seccomp.has_table() else None
    return inside.Plan(
        argv=walled.shell,
        environment={**walled.environment, "PWD": ROOTFS},
        directory=ROOTFS,
        view=tuple(_steps(walled)),
        hostname=_HOSTNAME,
        capabilities=tuple(_CAPABILITIES.values()),
        filter=base64.b64encode(program).decode() if program is not None else None,
        memory=walled.settings.memory,
        processes=most_processes(walled.settings),
        supervised=supervised,
    )


def _steps(walled: Walled) -> Iterator[tuple[str, ...]]:
    yield ("new", "proc", "/proc", "") if walled.new_proc else ("ro-bind", "/proc", "/proc")
    yield ("new", "tmpfs", "/dev", "mode=0755")
    for name in filter(lambda name: os.path.exists(f"/dev/{name}"), _DEVICES):
        yield ("bind", f"/dev/{name}", f"/dev/{name}")
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        yield ("link", f"/proc/self/fd{target}", f"/dev/{name}")
    yield ("new", "devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=620")
    yield ("link", "pts/ptmx", "/dev/ptmx")
    for folder in _IN_MEMORY:
        yield ("new", "tmpfs", folder, ",".join(("mode=1777", *walled.sizes)))
    yield ("link", "../tmp", _TMP[1])
    for shown in walled.view:
        yield ("link" if shown.is_link else "ro-bind", shown.source, shown.target)
    for path, text in ACCOUNTS.items():
        yield ("file", text, path)
    yield ("bind", walled.rootfs, ROOTFS)
