"""Which runner a build works with."""

from __future__ import annotations

from collections.abc import Callable

from kubeimage.errors import UsageError
from kubeimage.image.platform import Platform
from kubeimage.protocols.running import Command, CommandResult, CommandRunner, Mount

ISOLATIONS = ("auto", "sandbox", "none")

Notice = Callable[[str], None]

UNPROTECTED = "RUN is not isolated (--isolation=none): it can see and change this host as far as you can"


def choose_runner(name: str, notice: Notice | None = None) -> CommandRunner:
    """Give the runner for the isolation called ``name``; ``auto`` is the sandbox, for less has to be asked for.

    ``notice`` is told where a RUN will have no walls.
    Raises: UsageError for another name.
    """
    if name in ("auto", "sandbox"):
        return _LateRunner("sandbox", _sandbox)
    if name == "none":
        if notice is not None:
            notice(UNPROTECTED)
        return _LateRunner("none", _plain)
    raise UsageError(f"no isolation is called {name!r}", hint=f"choose one of {', '.join(ISOLATIONS)}")


class _LateRunner:
    """A runner that is imported at its first run: most builds end without one."""

    def __init__(self, name: str, load: Callable[[], CommandRunner]) -> None:
        self.name = name
        self._load = load

    def check_platform(self, platform: Platform) -> None:
        """Make sure that programs for another machine can run here.

        Raises: PlatformMismatchError.
        """
        from kubeimage.run.foreign import check_platform

        check_platform(platform)

    def run(self, command: Command, mount: Mount, output: Callable[[bytes], None]) -> CommandResult:
        """Run ``command`` as the runner that was chosen does.

        Raises: SandboxError where it cannot be started.
        """
        return self._load().run(command, mount, output)


def _sandbox() -> CommandRunner:
    from kubeimage.run.sandbox import SandboxRunner

    return SandboxRunner()


def _plain() -> CommandRunner:
    from kubeimage.run.plain import PlainRunner

    return PlainRunner()
