"""What builds, pushes and pulls tell, on standard error: plain lines, JSON lines, a live terminal, or nothing.

Nobody has to read it: a reader that goes away ends nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from kubeimage.errors import Diagnostic

if TYPE_CHECKING:
    from kubeimage.builder.events import Event
    from kubeimage.registry.events import TransferEvent


class Progress(Protocol):
    """Somebody who watches a build, a push or a pull."""

    def __call__(self, event: Event | TransferEvent, /) -> None:
        """Observe what is done."""
        ...

    def advise(self, advice: Diagnostic) -> None:
        """Pass on advice about the Kubefile."""
        ...

    def note(self, message: str) -> None:
        """Pass on what ``auto`` chose and the like."""
        ...

    def close(self) -> None:
        """Report what is not told yet: the build is over, or has failed."""
        ...


@contextmanager
def open_progress(mode: str) -> Iterator[Progress]:
    """Yield the watcher for ``auto``, ``plain``, ``json`` or ``quiet``, and close it."""
    progress = _make(mode)
    try:
        yield progress
    finally:
        progress.close()


def _make(mode: str) -> Progress:
    if mode == "quiet":
        return QuietProgress()
    from kubeimage.cli.streams import Muffled, is_terminal

    if mode == "json":
        from kubeimage.cli.jsonlines import JsonProgress

        return JsonProgress(Muffled(sys.stderr))
    if mode == "auto" and is_terminal():
        from kubeimage.cli.live import LiveProgress

        return LiveProgress()
    from kubeimage.cli.plain import PlainProgress

    return PlainProgress(Muffled(sys.stderr))


class QuietProgress:
    """Tells nothing."""

    def __call__(self, event: Event | TransferEvent, /) -> None:
        """Observe nothing."""

    def advise(self, advice: Diagnostic) -> None:
        """Report nothing."""

    def note(self, message: str) -> None:
        """Report nothing."""

    def close(self) -> None:
        """Report nothing."""
