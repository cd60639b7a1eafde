"""Which runner a build works with."""

from __future__ import annotations

from collections.abc import Callable

from kubeimage.errors import UsageError
from kubeimage.protocols import CommandRunner
from kubeimage.run.plain import PlainRunner
from kubeimage.run.sandbox import SandboxRunner

ISOLATIONS = ("auto", "sandbox", "none")

Notice = Callable[[str], None]

UNPROTECTED = "RUN is not isolated (--isolation=none): it can see and change this host as far as you can"


def choose_runner(name: str, notice: Notice | None = None) -> CommandRunner:
    """Give the runner for the isolation called ``name``; ``auto`` is the sandbox, for less has to be asked for.

    ``notice`` is told where a RUN will have no walls.
    Raises: UsageError for another name.
    """
    if name in ("auto", "sandbox"):
        return SandboxRunner()
    if name == "none":
        if notice is not None:
            notice(UNPROTECTED)
        return PlainRunner()
    raise UsageError(f"no isolation is called {name!r}", hint=f"choose one of {', '.join(ISOLATIONS)}")
