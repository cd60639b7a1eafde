"""A command inside an image's own root: its programs, its shell, its user, and nothing of the host's but two files.

The root is bound at ``/``, with a ``/proc`` and a ``/dev`` of its own above it. ``/etc/resolv.conf`` and ``/etc/hosts``
are lent where the executor says that it is safe: bubblewrap makes what it mounts on, and would follow a symlink.
All else is as in `kubeimage.run.walls`: namespaces, capabilities, the seccomp filter.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

from kubeimage.errors import SandboxError, UserUnavailableError
from kubeimage.layer.entry import ROOT, Owner
from kubeimage.namespaces import may_make_namespaces
from kubeimage.protocols.running import Command, ImageRoot
from kubeimage.run import owning, seccomp
from kubeimage.run.bubblewrap import find_bwrap
from kubeimage.run.environment import HOST_PATH, proxies
from kubeimage.run.limits import size_in_memory
from kubeimage.run.owning import Owning
from kubeimage.run.process import READY, handed_over, own_interpreter
from kubeimage.run.walls import limits, namespaces, sizes
from kubeimage.settings import RunSettings

_SHELL = "/bin/sh"
_STAGES = ("/mnt", "/media", "/srv", "/tmp")  # noqa: S108 - in a mount namespace of its own
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

    user = image.user if image.user != ROOT else None
    stage = _stage() if user is not None else rootfs
    walls = [*namespaces(network=command.network), *_user(user), "--bind", stage, "/"]
    walls += ("--proc", "/proc", "--remount-ro", "/proc") if new_proc else ("--ro-bind", "/proc", "/proc")
    walls += ("--dev", "/dev", *sizes(settings), "--perms", "1777", "--tmpfs", "/dev/shm")  # noqa: S108 - the sandbox's own
    for path in image.lent:
        real = os.path.realpath(path)
        if os.path.isfile(real):
            walls += ("--ro-bind", real, path)
    for one in image.shown:
        if one.data is not None:
            walls += ("--perms", f"{one.mode:04o}", "--ro-bind-data", hand_over(one.data), f"/{one.target}")
    walls += ("--chdir", image.directory)
    for name, value in command.environment.items():
        walls += ("--setenv", name, value)
    if seccomp.has_table():
        walls += ("--seccomp", hand_over(seccomp.make_filter(seccomp.DOCKERS_DEFAULT)))
    arguments = hand_over(b"".join(os.fsencode(wall) + b"\0" for wall in walls))
    bwrap = (find_bwrap(), "--args", arguments, "--", _SHELL, "-c", _START, "kubeimage", *image.argv)
    start = (*limits(settings), *bwrap)
    mounted = [one for one in image.shown if one.data is None]
    if image.owners or mounted or user is not None:
        mounts = [(one.source, one.target, one.read_only, one.size or size_in_memory(settings) or 0) for one in mounted]
        todo = Owning(rootfs, _found(start), image.owners, *image.made, mounts=mounts, stage=stage, user=user)
        start = (*own_interpreter(), owning.__file__, hand_over(todo.to_json()))
    return start, tuple(descriptors)


def _found(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command line whose program is named by its whole path."""
    return (shutil.which(argv[0], path=HOST_PATH) or argv[0], *argv[1:])


def _stage() -> str:
    """Return a folder of the host that a user can reach, to show a root at; nobody else sees it there."""
    return next(path for path in _STAGES if os.path.isdir(path))


def refuse_owners(image: ImageRoot) -> None:
    """Refuse what takes several users, where there is only one.

    Raises: UserUnavailableError.
    """
    if may_make_namespaces() or (image.user == ROOT and not image.owners):
        return
    what = f"USER {image.as_user}" if image.user != ROOT else f"files that are not root's, as {image.owners[0][0]!r}"
    raise UserUnavailableError(
        f"a RUN with {what} needs root, or newuidmap and a range in /etc/subuid: an ordinary user is but one user",
        hint="with uidmap installed, and a range granted: unshare -U -r --map-auto kubeimage build …; or build as root",
    )


def image_environment(command: Command, host: Mapping[str, str]) -> dict[str, str]:
    """Return what a command in an image finds in its environment: the image's own, and proxies."""
    return {**proxies(host), **command.variables}


def refuse_image(command: Command, where: str) -> None:
    """Refuse a command that is to run in an image's own root.

    Raises: SandboxError for such a command.
    """
    if command.image is not None:
        raise SandboxError(
            f"a RUN inside the image's own root cannot be made {where}",
            hint="it needs namespaces and bubblewrap: --isolation=sandbox, and a host that lets users make namespaces",
        )


def _user(user: Owner | None) -> Iterator[str]:
    if user is not None:
        yield from ("--unshare-user", "--uid", str(user[0]), "--gid", str(user[1]))
