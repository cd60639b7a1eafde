"""Commands on the host itself, for hosts that allow no sandbox: only on request, as nothing holds them back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from kubeimage.errors import SandboxError
from kubeimage.image.platform import Platform
from kubeimage.protocols.running import Command, CommandResult, Mount
from kubeimage.run.environment import command_environment
from kubeimage.run.foreign import check_platform
from kubeimage.run.imageroot import refuse_image
from kubeimage.run.inside import Plan
from kubeimage.run.limits import refuse_tmp_size
from kubeimage.run.privatenet import refuse_private
from kubeimage.run.process import READY, run_inside
from kubeimage.run.secretfiles import refuse_secret_files
from kubeimage.settings import RunSettings

_SHELL = READY + 'exec /bin/sh -c "$1"'


class PlainRunner:
    """Runs commands on the host as the user who builds.

    They see and may change all that the user may, and use the host's network, ``/tmp`` and home folder's neighbours.
    What a command started is killed with it, daemons too.
    """

    name = "none"

    def __init__(self, host: Mapping[str, str] | None = None, *, settings: RunSettings | None = None) -> None:
        self._host = os.environ if host is None else host
        self._settings = settings or RunSettings()

    def check_platform(self, platform: Platform) -> None:
        """Make sure that programs for another machine can run here.

        Raises: PlatformMismatchError.
        """
        check_platform(platform)

    def run(self, command: Command, mount: Mount, output: Callable[[bytes], None]) -> CommandResult:
        """Run ``command`` in the rootfs as its working directory.

        Raises: SandboxError where it cannot be started, or is to have no network.
        """
        refuse_image(command, "without isolation")
        refuse_secret_files(command, "without isolation")
        if not command.network:
            raise SandboxError(
                "a RUN without isolation cannot be kept off the network",
                hint="leave out --network=none, or --isolation=none",
            )
        refuse_tmp_size(self._settings, "without isolation")
        if command.network and self._settings.network == "private":
            raise refuse_private("without isolation")
        environment = command_environment(mount.rootfs, "/tmp", command.variables, self._host)  # noqa: S108
        plan = Plan(
            argv=("/bin/sh", "-c", _SHELL, "kubeimage", command.script),
            environment={**environment, "PWD": mount.rootfs},
            directory=mount.rootfs,
            memory=self._settings.memory,
            supervised=True,
        )
        return run_inside(mount.prefix, plan, output, command, self._settings)
