"""What a person sees while a search goes on, on standard error."""

from __future__ import annotations

import os
import sys
import time
from typing import IO, TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.status import Status

_EVERY = 10.0
_EVERY_ON_A_TERMINAL = 0.2


class Progress:
    """One line that changes on a terminal; elsewhere a line every ten seconds."""

    def __init__(self) -> None:
        self._live = _open_status() if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" else None
        self._told = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to tell something."""
        return time.monotonic() - self._told >= (_EVERY if self._live is None else _EVERY_ON_A_TERMINAL)

    def tell(self, line: str, *, runs: int | None = None) -> None:  # noqa: ARG002  for who counts the runs of many
        """Say how far it is; ``runs`` is how many cases were tried so far, where that is known."""
        self._told = time.monotonic()
        if self._live is None:
            click.echo(line, err=True)
        else:
            self._live.update(line)

    def end(self, line: str, runs: int, screen: IO[str]) -> None:  # noqa: ARG002  as for `tell`
        """Restore the terminal, and say on ``screen`` how it went."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        click.echo(line, file=screen)


def _open_status() -> Status:
    from rich.console import Console

    status = Console(stderr=True, highlight=False).status("starting")
    status.start()
    return status


def status_line(name: str, elapsed: float, seconds: float | None, runs: int, found: int) -> str:
    """Say in one line how far a search is."""
    of = "" if seconds is None else f" of {seconds:.0f}"
    rate = runs / elapsed if elapsed else 0
    findings = f"{found} found" if found else "nothing found"
    return f"{name}: {elapsed:.0f}{of} s, {runs:,} cases, {rate:,.0f} a second, {findings}"
