"""A command inside an image's own root: its programs, its shell, its user, and nothing of the host's but two files.

The root is bound at ``/``, with a ``/proc`` and a ``/dev`` of its own above it. ``/etc/resolv.conf`` and ``/etc/hosts``
are lent where the executor says that it is safe: bubblewrap makes what it mounts on, and would follow a symlink.
All else is as in `kubeimage.run.walls`: namespaces, capabilities, the seccomp filter.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

from kubeimage.errors import SandboxError
from kubeimage.protocols.running import Command, ImageRoot
from kubeimage.run import seccomp
from kubeimage.run.bubblewrap import find_bwrap
from kubeimage.run.environment import proxies
from kubeimage.run.process import READY, handed_over
from kubeimage.run.walls import limits, namespaces
from kubeimage.settings import RunSettings

_SHELL = "/bin/sh"
_START = READY + 'exec "$@"'


def by_bubblewrap_in_image(
    command: Command, image: ImageRoot, rootfs: str, settings: RunSettings, stack: ExitStack, *, new_proc: bool
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the argv that starts a command in the image at ``rootfs``, and the descriptors that it needs.

    Raises: SandboxError where there is no bwrap, or too many files are open.
    """
    descriptors: list[int] = []

    def hand_over(data: bytes) -> str:
        descriptors.append(stack.enter_context(handed_over(data)))
        return str(descriptors[-1])

    walls = [*namespaces(network=command.network), *_user(image), "--bind", rootfs, "/"]
    walls += ("--proc", "/proc", "--remount-ro", "/proc") if new_proc else ("--ro-bind", "/proc", "/proc")
    walls += ("--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm")  # noqa: S108 - the sandbox's own
    for path in image.lent:
        real = os.path.realpath(path)
        if os.path.isfile(real):
            walls += ("--ro-bind", real, path)
    walls += ("--chdir", image.directory)
    for name, value in command.environment.items():
        walls += ("--setenv", name, value)
    if seccomp.has_table():
        walls += ("--seccomp", hand_over(seccomp.make_filter(seccomp.DOCKERS_DEFAULT)))
    arguments = hand_over(b"".join(os.fsencode(wall) + b"\0" for wall in walls))
    start = (find_bwrap(), "--args", arguments, "--", _SHELL, "-c", _START, "kubeimage", *image.argv)
    return (*limits(settings), *start), tuple(descriptors)


def image_environment(command: Command, host: Mapping[str, str]) -> dict[str, str]:
    """Return what a command in an image finds in its environment: the image's own, and proxies."""
    return {**proxies(host), **command.environment}


def refuse_image(command: Command, where: str) -> None:
    """Refuse a command that is to run in an image's own root.

    Raises: SandboxError for such a command.
    """
    if command.image is not None:
        raise SandboxError(
            f"a RUN inside the image's own root cannot be made {where}",
            hint="it needs namespaces and bubblewrap: --isolation=sandbox, and a host that lets users make namespaces",
        )


def _user(image: ImageRoot) -> Iterator[str]:
    user, group = image.user
    if (user, group) != (0, 0):
        yield from ("--unshare-user", "--uid", str(user), "--gid", str(group))
