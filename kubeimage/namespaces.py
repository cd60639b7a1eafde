"""Whether processes here may have namespaces of their own, and if not, what forbids it and what to do about it.

Sources: user_namespaces(7); Linux, Documentation/admin-guide/sysctl/user.rst; what Debian and Ubuntu add to it; Docker,
"Seccomp security profiles for Docker".
"""

from __future__ import annotations

import os
from typing import NamedTuple

_ADMIN = 1 << 21
_SECCOMP_FILTER = "2"
# What the first user namespace maps: all ids but one, each to itself.
_EVERYBODY = ["0", "0", str(2**32 - 1)]
_trusted: list[bool] = []
_MARKS_OF_CONTAINERS = ("/.dockerenv", "/run/.containerenv")


class Obstacle(NamedTuple):
    """Why nobody can make namespaces here. Shape: ``way_out`` is a sentence without its end, as hints are."""

    cause: str
    way_out: str


class _Switch(NamedTuple):
    path: str
    forbids: str
    name: str
    allows: str


_SWITCHES = (
    _Switch("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces", "15000"),
    _Switch("/proc/sys/user/max_mnt_namespaces", "0", "user.max_mnt_namespaces", "15000"),
    _Switch("/proc/sys/user/max_pid_namespaces", "0", "user.max_pid_namespaces", "15000"),
    _Switch("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone", "1"),
    _Switch(
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "kernel.apparmor_restrict_unprivileged_userns",
        "0",
    ),
)


def may_make_namespaces() -> bool:
    """Return whether this process may make namespaces as it is: others need a user namespace first, uid 0 or not."""
    return bool(int(_own_status("CapEff", "0"), 16) & _ADMIN)


def keeps_trusted_xattrs() -> bool:
    """Return whether this process may set ``trusted.*``: real root, as overlays without ``userxattr`` need it.

    Root of a user namespace may not, nor does root of a container that lacks CAP_SYS_ADMIN.
    """
    if not _trusted:
        uid_map = _read("/proc/self/uid_map")
        if uid_map is None:
            # No /proc: in a file system that a test made up, where everything may be set.
            return os.geteuid() == 0
        _trusted.append(may_make_namespaces() and uid_map.split() == _EVERYBODY)
    return _trusted[0]


def find_obstacle() -> Obstacle | None:
    """Return what forbids namespaces here, as far as that can be read off; None where nothing is seen to."""
    for switch in _SWITCHES:
        if _read(switch.path) == switch.forbids:
            return Obstacle(f"{switch.name} is {switch.forbids} here", f"sysctl {switch.name}={switch.allows} as root")
    if _own_status("Seccomp", "0") == _SECCOMP_FILTER:
        where = "this container's" if _in_container() else "a"
        way_out = "start the container with --security-opt seccomp=unconfined (Kubernetes: seccompProfile Unconfined)"
        return Obstacle(f"{where} seccomp filter refuses namespaces", way_out)
    if _is_chrooted():
        return Obstacle("this process runs in a chroot, where the kernel allows no user namespace", "leave the chroot")
    return None


def _in_container() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(map(os.path.exists, _MARKS_OF_CONTAINERS))


def _is_chrooted() -> bool:
    """Return whether the root is no mount point, which every root but a chroot's is."""
    text = _read("/proc/self/mountinfo") or ""
    return bool(text) and not any(line.split()[4] == "/" for line in text.splitlines())


def _own_status(name: str, otherwise: str) -> str:
    lines = (_read("/proc/self/status") or "").splitlines()
    return next((line.split()[1] for line in lines if line.startswith(f"{name}:")), otherwise)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None
