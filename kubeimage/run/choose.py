"""Which runner a build works with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from kubeimage.errors import SandboxError, UsageError
from kubeimage.image.platform import Platform
from kubeimage.settings import RunSettings

if TYPE_CHECKING:
    from kubeimage.protocols.running import Command, CommandResult, CommandRunner, Mount
    from kubeimage.run.landlock import LandlockRunner
    from kubeimage.run.sandbox import SandboxRunner

ISOLATIONS = ("auto", "sandbox", "landlock", "none")

Notice = Callable[[str], None]

UNPROTECTED = "RUN is not isolated (--isolation=none): it can see and change this host as far as you can"
SANDBOXED = "RUN is kept in a sandbox (--isolation=sandbox)"


def choose_runner(name: str, notice: Notice | None = None, settings: RunSettings | None = None) -> CommandRunner:
    """Return the runner for the isolation called ``name``; ``auto`` never takes none, for that has to be asked for.

    ``notice`` is told what ``auto`` chose, at the first RUN, and where a RUN has no walls or thin ones, or where nobody
    but we can look after its limits.
    ``settings`` are what a RUN sees beside what all see, and what it may use.
    Raises: UsageError for another name, and for a place that cannot be shown.
    """
    from kubeimage.run.view import check_run_paths

    say = notice or (lambda _text: None)
    settings = replace(settings or RunSettings(), paths=check_run_paths((settings or RunSettings()).paths))
    loads: dict[str, Callable[[], CommandRunner]] = {
        "auto": lambda: _AutoRunner(_sandbox(settings), lambda: _landlock(settings), say),
        "sandbox": lambda: _sandbox(settings),
        "landlock": lambda: _landlock(settings),
        "none": lambda: _plain(settings),
    }
    if name not in loads:
        raise UsageError(f"no isolation is called {name!r}", hint=f"choose one of {', '.join(ISOLATIONS)}")
    if name in ("landlock", "none"):
        say(_thin_walls() if name == "landlock" else UNPROTECTED)
    return _LateRunner("sandbox" if name == "auto" else name, _with_limits(loads[name], settings, say))


def mount_for(isolation: str, mount: str) -> str:
    """Return which mount goes with an isolation: ``landlock`` works on a copy.

    Raises: UsageError where the two that were named do not go together.
    """
    if isolation != "landlock":
        return mount
    if mount == "overlay":
        raise UsageError(
            "--isolation=landlock works on a copy of the root filesystem, and --mount=overlay is none",
            hint="leave out --mount=overlay",
        )
    return "copy"


def _with_limits(load: Callable[[], CommandRunner], settings: RunSettings, say: Notice) -> Callable[[], CommandRunner]:
    """Return what loads a runner, and says how its limits are kept where that is not by the kernel."""

    def load_and_say() -> CommandRunner:
        from kubeimage.run.limits import why_watched

        text = why_watched(settings)
        if text is not None:
            say(text)
        return load()

    return load_and_say


class _LateRunner:
    """A runner that is imported at its first run: most builds end without one."""

    def __init__(self, name: str, load: Callable[[], CommandRunner]) -> None:
        self._name = name
        self._load = load
        self._loading = threading.Lock()
        self._loaded: CommandRunner | None = None

    @property
    def name(self) -> str:
        """What it is called; what ``auto`` expects to choose before it has chosen."""
        return self._loaded.name if self._loaded is not None else self._name

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
        with self._loading:
            loaded = self._loaded = self._loaded or self._load()
        return loaded.run(command, mount, output)


class _AutoRunner:
    """Runs commands in a sandbox, or behind Landlock where no sandbox can be made, and says which, once."""

    def __init__(self, sandbox: SandboxRunner, landlock: Callable[[], LandlockRunner], say: Notice) -> None:
        self._sandbox = sandbox
        self._landlock = landlock
        self._say = say
        self._chosen: CommandRunner = sandbox
        self._said = False
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The chosen runner's name."""
        return self._chosen.name

    def check_platform(self, platform: Platform) -> None:
        """Make sure that programs for another machine can run here.

        Raises: PlatformMismatchError.
        """
        self._sandbox.check_platform(platform)

    def run(self, command: Command, mount: Mount, output: Callable[[bytes], None]) -> CommandResult:
        """Run ``command`` in what can be had here.

        Raises: SandboxError that says why there is neither, or why the command cannot be started.
        """

        def heard(data: bytes) -> None:
            # The sandbox stands: it comes before the command's first word.
            self._say_once(SANDBOXED)
            output(data)

        if self._chosen is not self._sandbox:
            return self._chosen.run(command, mount, output)
        try:
            result = self._sandbox.run(command, mount, heard)
        except SandboxError as error:
            if not self._sandbox.is_impossible:
                raise
            self._chosen = self._other(error)
            return self._chosen.run(command, mount, output)
        self._say_once(SANDBOXED)
        return result

    def _other(self, error: SandboxError) -> CommandRunner:
        from kubeimage.run.landlock import why_not

        complaint = why_not()
        if complaint is not None:
            raise SandboxError(f"{error.message}; and {complaint}", hint=error.hint)
        self._say_once(f"{_thin_walls()}; {error.message}")
        return self._landlock()

    def _say_once(self, text: str) -> None:
        with self._lock:
            said, self._said = self._said, True
        if not said:
            self._say(text)


def _thin_walls() -> str:
    from kubeimage.run.landlock import left_open

    return (
        "RUN is walled by Landlock (--isolation=landlock), on a copy of its root filesystem at no fixed path, with "
        f"$TMPDIR for /tmp: it shares this machine's processes and network, {left_open()}"
    )


def _sandbox(settings: RunSettings) -> SandboxRunner:
    from kubeimage.run.sandbox import SandboxRunner

    return SandboxRunner(settings=settings)


def _landlock(settings: RunSettings) -> LandlockRunner:
    from kubeimage.run.landlock import LandlockRunner

    return LandlockRunner(settings=settings)


def _plain(settings: RunSettings) -> CommandRunner:
    from kubeimage.run.plain import PlainRunner

    return PlainRunner(settings=settings)
