"""Progress on a terminal: a log of what has happened, and a window below it with what is going on.

What is over at once needs no window, and does not wait for the library that draws one: a cached build is not slowed.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

import click

from kubeimage.builder.events import PackingStarted, StepProgress
from kubeimage.cli.diagnostics import STYLES, takes_colours, width_of
from kubeimage.cli.now import Now
from kubeimage.cli.output import harmless
from kubeimage.cli.plain import PlainProgress
from kubeimage.cli.streams import Muffled
from kubeimage.cli.telling import sum_up
from kubeimage.registry.events import (
    BlobFinished,
    BlobProgress,
    ImageLookedUp,
    PackingProgress,
    TransferEvent,
    TransferFinished,
    TransferStarted,
)
from kubeimage.report.columns import fit
from kubeimage.report.text import Line

if TYPE_CHECKING:
    from kubeimage.builder.events import Event
    from kubeimage.cli.window import Window

_PATIENCE = 0.3
"""Seconds before anybody wants to see that something runs."""
_NARROWEST = 20


class LiveProgress(PlainProgress):
    """The lines of PlainProgress in colour, cut to the terminal, and below them what is going on.

    What a RUN prints is in the window alone: the log has its steps, and an error its last lines.
    """

    def __init__(self, stream: TextIO | None = None, *, patience: float = _PATIENCE) -> None:
        self._stream = stream or sys.stderr
        super().__init__(Muffled(self._stream))
        self._now = Now()
        self._packing = False
        self._window: Window | None = None
        self._is_open = True
        self._lock = threading.RLock()
        self._timer = threading.Timer(patience, self._open)
        self._timer.daemon = True
        self._timer.start()

    @property
    def width(self) -> int | None:
        """The columns of the terminal."""
        width = width_of(self._stream)
        return None if width is None else max(width, _NARROWEST)

    def __call__(self, event: Event | TransferEvent, /) -> None:
        """Report what has happened."""
        if isinstance(event, PackingStarted):
            self._packing = True
        super().__call__(event)

    def say(self, line: str, style: str = "") -> None:
        """Print a line of the log."""
        self._print_parts([(line, {} if not style else {"dim": True} if style == "dim" else {"fg": style})])

    def say_pieces(self, pieces: Line) -> None:
        """Print a line of a diagnostic."""
        self._print_parts([(harmless(piece.text), STYLES[piece.role]) for piece in pieces])

    def start(self, label: str) -> None:
        """Report that a step begins, and how long it runs."""
        super().start(label if self.width is None else fit(label, self.width))
        with self._lock:
            self._now.begin()

    def finish(self, ending: str, style: str) -> None:
        """Report how the step ended; it runs no more."""
        with self._lock:
            self._now.end()
            super().finish(ending, style)

    def output(self, line: str) -> None:
        """Show a line that a RUN has printed, until others take its place."""
        self._now.lines.append(line)

    def copied(self, event: StepProgress) -> None:
        """Show how far a COPY is."""
        self._now.moved(event.step.number, "", event.done, event.total)

    def transfer(self, event: TransferEvent) -> None:
        """Report a push or pull, and show a bar for each blob that travels."""
        match event:
            case BlobProgress():
                self._now.moved(event.digest, event.digest.short, event.done, event.size)
            case BlobFinished():
                for digest in filter(None, (event.digest, event.layer)):
                    self._now.arrived(digest)
            case TransferStarted():
                self._now.begin()
            case TransferFinished():
                self._now.end()
            case ImageLookedUp():
                self._now.said = f"looked up {event.number} of {event.total} images: {harmless(event.name)}"
        # Images that are packed share blobs: each image is told, and not each blob.
        if not (self._packing and isinstance(event, BlobFinished)):
            super().transfer(event)

    def packed(self, event: PackingProgress) -> None:
        """Show how far the fetching of container images is."""
        self._now.said = sum_up(event)

    def close(self) -> None:
        """Restore the terminal."""
        self._timer.cancel()
        # It may be drawing for the first time just now.
        self._timer.join()
        with self._lock, suppress(OSError):
            self._is_open = False
            self._now.end()
            super().close()
            if self._window is not None:
                self._window.close()

    def _open(self) -> None:
        from kubeimage.cli.window import Window

        # A terminal that is gone ends no build.
        with self._lock, suppress(OSError):
            if self._is_open:
                self._window = Window(self._now, self._stream)

    def _print_parts(self, parts: list[tuple[str, dict[str, Any]]]) -> None:
        with self._lock:
            if self._window is not None:
                with suppress(OSError):
                    self._window.print([(text, _rich_style(style)) for text, style in parts])
                return
            coloured = takes_colours(self._stream)
            shown = (click.style(text, **style) if style and coloured else text for text, style in parts)
            self._write("".join(shown))


def _rich_style(style: dict[str, Any]) -> str:
    return " ".join(filter(None, (*(name for name in ("bold", "dim") if style.get(name)), style.get("fg"))))
