"""Commands behind walls: mount, pid, ipc and uts namespaces around the host's own programs.

What the command sees: the rootfs at ``/rootfs``, what `kubeimage.run.view` lists of the host, a ``/tmp``, ``/dev`` and
``/proc`` of its own, and nothing else. As root it lacks the capabilities that reach beyond files; an ordinary user is
root in a user namespace, over nothing but his own files. A seccomp filter refuses what Docker's does.

There are four ways to put the walls up, and the first that works is kept: by bubblewrap, or by `kubeimage.run.inside`
where pivot_root(2) is refused; with a new ``/proc``, or with the one there is, read-only, where that is masked.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from kubeimage.errors import SandboxError
from kubeimage.image.platform import Platform
from kubeimage.namespaces import find_obstacle, may_make_namespaces
from kubeimage.protocols.running import Command, CommandResult, ImageRoot, Mount
from kubeimage.run import inside
from kubeimage.run.environment import HOST_PATH, command_environment
from kubeimage.run.foreign import check_platform
from kubeimage.run.imageroot import by_bubblewrap_in_image, image_environment, refuse_image, refuse_owners
from kubeimage.run.limits import refuse_tmp_size
from kubeimage.run.privatenet import check_private, pasta_command
from kubeimage.run.process import NOT_STARTED, keeper, own_interpreter, refuse_long, run_to_end
from kubeimage.run.secretfiles import refuse_secret_files
from kubeimage.run.view import host_view
from kubeimage.run.walls import HOME, ROOTFS, Walled, by_bubblewrap, by_ourselves, make_plan
from kubeimage.settings import RunSettings
from kubeimage.values import dataclass

NO_WALLS = "run it without walls by --mount=copy --isolation=none"

_PROBE = Command(":", timeout=60)


@dataclass(frozen=True)
class _Way:
    """How the walls are put up."""

    by_bwrap: bool
    new_proc: bool


_WAYS = (_Way(True, True), _Way(True, False), _Way(False, True), _Way(False, False))


class SandboxRunner:
    """Runs commands in a sandbox each.

    Shape: ``host`` is the environment that proxies are taken from; ``settings`` are what a
           command sees beside what all see, and what it may use.
    """

    name = "sandbox"

    def __init__(self, host: Mapping[str, str] | None = None, *, settings: RunSettings | None = None) -> None:
        self._host = os.environ if host is None else host
        self._settings = settings or RunSettings()
        self._ways = list(_WAYS)
        self._choosing = threading.Lock()
        self.is_impossible = False
        """Whether every way has been tried, and none works here."""

    def check_platform(self, platform: Platform) -> None:
        """Make sure that programs for another machine can run here.

        Raises: PlatformMismatchError.
        """
        check_platform(platform)

    def run(self, command: Command, mount: Mount, output: Callable[[bytes], None]) -> CommandResult:
        """Run ``command`` in a sandbox of its own.

        Raises: SandboxError that names the cause and the way out where this host allows no sandbox;
            UserUnavailableError for a command in an image that takes several users, where there is but one.
        """
        if self._is_private(command):
            check_private()
        if command.image is not None:
            refuse_owners(command.image)
        while True:
            way = self._ways[0]
            try:
                return self._run(way, command, mount, output)
            except SandboxError as error:
                with self._choosing:
                    self._leave(way, error, mount)

    def _leave(self, way: _Way, error: SandboxError, mount: Mount) -> None:
        """Go on to the next way, if it is for this one that a command failed; nothing of the command has run.

        Raises: SandboxError where the way works, or is the last one.
        """
        if self._ways[0] is not way:
            return
        if self._works(way, mount):
            raise error
        if len(self._ways) == 1:
            self.is_impossible = True
            raise _no_sandbox(error) from error
        del self._ways[0]

    def _is_private(self, command: Command) -> bool:
        return command.network and self._settings.network == "private"

    def _works(self, way: _Way, mount: Mount) -> bool:
        """Return whether a command that asks for nothing can be run that way, on a folder that is there."""
        unlimited = SandboxRunner(self._host, settings=replace(self._settings, memory=None, pids=None, tmp_size=None))
        try:
            unlimited._run(way, _PROBE, _Probe(mount.prefix), lambda _data: None)
        except SandboxError:
            return False
        return True

    def _run(
        self, way: _Way, command: Command, mount: Mount | _Probe, output: Callable[[bytes], None]
    ) -> CommandResult:
        if command.image is not None:
            return self._run_in_image(way, command, command.image, mount, output)
        view = host_view(self._settings.paths)
        environment = command_environment(ROOTFS, HOME, command.variables, self._host)
        secrets = tuple(one for one in command.secrets if one.target)
        walled = Walled(
            command.script, command.network, mount.rootfs, view, environment, way.new_proc, self._settings, secrets
        )
        if secrets and (self._is_private(command) or not way.by_bwrap):
            refuse_secret_files(command, "without bubblewrap, or with --network=private")
        if self._is_private(command):
            return self._run_private(way, command, mount.prefix, walled, output)
        with ExitStack() as stack:
            walls, descriptors = (by_bubblewrap if way.by_bwrap else by_ourselves)(walled, stack)
            argv = (*mount.prefix, *_own_pids(way, mount.prefix, command), *keeper("-1", walls))
            return self._run_to_end(argv, descriptors, command, output)

    def _run_to_end(
        self, argv: Sequence[str], descriptors: Sequence[int], command: Command, output: Callable[[bytes], None]
    ) -> CommandResult:
        """Run what puts up walls for ``command``, and hand ``descriptors`` over to it."""
        return run_to_end(
            argv,
            {"PATH": HOST_PATH},
            output,
            command=command,
            settings=self._settings,
            pass_fds=descriptors,
        )

    def _run_in_image(
        self, way: _Way, command: Command, image: ImageRoot, mount: Mount | _Probe, output: Callable[[bytes], None]
    ) -> CommandResult:
        if not way.by_bwrap:
            refuse_image(command, "without bubblewrap")
        if self._is_private(command):
            refuse_image(command, "with --network=private")
        refuse_tmp_size(self._settings, "in an image's own root", hint="leave it out: there, /tmp is the image's")
        whole = replace(command, environment=image_environment(command, self._host))
        with ExitStack() as stack:
            walls, descriptors = by_bubblewrap_in_image(
                whole, image, mount.rootfs, self._settings, stack, new_proc=way.new_proc
            )
            argv = (*mount.prefix, *_own_pids(way, mount.prefix, command), *keeper("-1", walls))
            return self._run_to_end(argv, descriptors, command, output)

    def _run_private(
        self,
        way: _Way,
        command: Command,
        prefix: Sequence[str],
        walled: Walled,
        output: Callable[[bytes], None],
    ) -> CommandResult:
        """Run a command behind pasta, which hands on no descriptor but the first three: the plan comes by the first."""
        refuse_long(walled.shell)
        network = pasta_command(has_rights=bool(prefix) or may_make_namespaces())
        inner = (*own_interpreter(), inside.__file__, "0")
        # Its network is made; what bubblewrap would make beside that, nobody else does.
        alone = _Way(by_bwrap=False, new_proc=way.new_proc)
        argv = (*prefix, *network, *_own_pids(alone, network, command), *inner)
        plan = make_plan(walled, supervised=True).to_json()
        return run_to_end(
            argv,
            {"PATH": HOST_PATH},
            output,
            command=command,
            settings=self._settings,
            first=plan,
        )


@dataclass(frozen=True)
class _Probe:
    """A folder that every host has, in a rootfs's place."""

    prefix: tuple[str, ...]
    rootfs: str = "/usr"


def _no_sandbox(error: SandboxError) -> SandboxError:
    reason = error.message.removeprefix(f"{NOT_STARTED}: ")
    way_out = error.hint or "in a container: --security-opt seccomp=unconfined, or --privileged"
    obstacle = find_obstacle()
    if obstacle is not None:
        reason, way_out = obstacle
    return SandboxError(f"no sandbox can be made here: {reason}", hint=f"{way_out}; or {NO_WALLS}")


def _own_pids(way: _Way, prefix: Sequence[str], command: Command) -> tuple[str, ...]:
    """Return the argv that puts what follows into a pid namespace, as root of a user namespace if need be.

    bwrap has one too, but for a moment its first process depends on nobody: killed then, it would leave another.
    """
    unshare = shutil.which("unshare", path=HOST_PATH)
    if unshare is None:
        raise SandboxError("it needs the program 'unshare'", hint="install util-linux")
    has_rights = may_make_namespaces()
    # By the host's /proc a process may reach into another that has no more rights than itself, but never out of its
    # user namespace.
    has_too_many = has_rights and not way.new_proc
    as_root = ("-U", "-r") if has_too_many or not (prefix or has_rights) else ()
    proc = ("--mount-proc",) if way.new_proc else ()
    rest = () if way.by_bwrap else ("-i", "-u", *(() if command.network else ("-n",)))
    return (unshare, *as_root, "-m", "-p", "-f", *rest, *proc, "--")
