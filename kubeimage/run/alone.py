"""A module of ours as a process in a network of its own, in which there is nothing but its own loopback.

Root makes the network; an ordinary user makes a user namespace with it. Nothing of it lasts longer than the process.

Sources: network_namespaces(7), user_namespaces(7), unshare(2).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kubeimage.namespaces import find_obstacle, may_make_namespaces
from kubeimage.run import inside
from kubeimage.run.environment import HOST_PATH

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _IFF_UP = 0x8913, 1
# The system says it of namespaces in the words that it has for disks and files.
_REFUSALS = {
    errno.ENOSPC: "no more networks may be made here",
    errno.EUSERS: "no more networks may be made here",
    errno.EPERM: "this user may make no network here",
}


def enter_own_network() -> None:
    """Leave this machine's network for a new one; the process must have one thread.

    Raises: OSError where that is not possible.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _CLONE_NEWNET if may_make_namespaces() else _CLONE_NEWNET | _CLONE_NEWUSER
    if libc.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, _REFUSALS.get(number) or os.strerror(number))
    inside.raise_loopback()
    if others := [name for _, name in socket.if_nameindex() if name != "lo" and _is_up(name)]:
        raise OSError(f"there is more than a loopback: {', '.join(others)}")


def _is_up(name: str) -> bool:
    """Whether an interface is in use; some kernels put tunnels into every network, which are not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sh14x", name.encode(), 0))
    flags: int = struct.unpack("16sh14x", answer)[1]
    return bool(flags & _IFF_UP)


def why_not_alone(said: str) -> str:
    """Return why there is no network of one's own here, from what the system has said."""
    obstacle = find_obstacle()
    return obstacle.cause if obstacle is not None else said


@contextmanager
def started(module: str) -> Iterator[socket.socket]:
    """Start ``python -m module DESCRIPTOR``, and give the other end of that socket; the process is gone at the end.

    Raises: OSError where it cannot be started.
    """
    if not sys.executable:
        raise OSError("Python is a part of another program here")
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                env=_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
            )
        try:
            yield ours
        finally:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """Return what lets the process find the modules that this one has, wherever it has them from."""
    path = os.pathsep.join(os.path.abspath(one) for one in sys.path if one)
    return {"PATH": HOST_PATH, "LANG": "C.UTF-8", "PYTHONPATH": path}
