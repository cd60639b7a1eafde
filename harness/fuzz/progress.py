"""What a person sees while a search goes on, on standard error."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

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

    def tell(self, line: str) -> None:
        """Say how far it is."""
        self._told = time.monotonic()
        if self._live is None:
            click.echo(line, err=True)
        else:
            self._live.update(line)

    def close(self) -> None:
        """Restore the terminal."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def _open_status() -> Status:
    from rich.console import Console

    status = Console(stderr=True, highlight=False).status("starting")
    status.start()
    return status
