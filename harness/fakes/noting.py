"""RUN inside an image's root, with nothing run: what was asked for is noted in the image.

The model of the dialects after Docker's rules says what must stand there: `harness.model.docker.describe_run`.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.fakes.runner import tree_of
from harness.model.docker.running import RAN, describe_run
from kubeimage.errors import SandboxError
from kubeimage.image.platform import Platform
from kubeimage.protocols.running import Command, CommandResult, Mount


class NotingRunner:
    """Adds a line to the file ``ran`` of the image for each RUN."""

    name = "noting"

    def check_platform(self, platform: Platform) -> None:
        """Run for any platform: nothing real is run."""

    def run(self, command: Command, mount: Mount, output: Callable[[bytes], None]) -> CommandResult:  # noqa: ARG002
        """Note what a command is given.

        Raises: SandboxError for a RUN of the dialect sealer, whose programs are the machine's.
        """
        image = command.image
        if image is None:
            raise SandboxError("only a RUN inside an image's root is noted", hint="take a dialect after Docker's rules")
        tree = tree_of(mount)
        if RAN not in tree:
            tree.write(RAN, b"")
        tree.append(RAN, describe_run(image.argv, command.environment, image.directory, image.user))
        return CommandResult(0, "")
