"""Progress on a terminal: the running step and its time, or blobs that travel, below a log of what has happened."""

from __future__ import annotations

import time
from contextlib import suppress

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from kubeimage.cli.diagnostics import STYLES
from kubeimage.cli.output import format_size, harmless
from kubeimage.cli.plain import PlainProgress
from kubeimage.image.digest import Digest
from kubeimage.registry.events import BlobFinished, BlobProgress, TransferEvent
from kubeimage.report.text import Line, Role


class LiveProgress(PlainProgress):
    """The lines of PlainProgress, coloured, and a spinner with the running step below them."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(lambda _line: None)
        self._console = console or Console(stderr=True, highlight=False)
        self._spinner = Spinner("dots")
        self._running = ""
        self._since = 0.0
        self._travelling: dict[Digest, BlobProgress] = {}
        # The terminal is drawn anew ten times a second, not at each step: 128 cached steps take no time.
        self._live = Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=10,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def say(self, line: str, style: str = "") -> None:
        """Print a line above the running step."""
        # A terminal that is gone ends no build.
        with suppress(OSError):
            self._console.print(Text(line, style), soft_wrap=True)

    @property
    def width(self) -> int | None:
        """The columns of the terminal."""
        return self._console.width

    def say_pieces(self, pieces: Line) -> None:
        """Print a line of a diagnostic, in colour."""
        with suppress(OSError):
            parts = [(harmless(piece.text), _style_of(piece.role)) for piece in pieces]
            self._console.print(Text.assemble(*parts), soft_wrap=True)

    def start(self, label: str) -> None:
        """Tell that a step begins, and show it as running."""
        super().start(label)
        self._running, self._since = label, time.monotonic()

    def finish(self, ending: str, style: str) -> None:
        """Tell how the step ended; it runs no more."""
        self._running = ""
        super().finish(ending, style)

    def close(self) -> None:
        """Give the terminal back."""
        super().close()
        self._running = ""
        with suppress(OSError):
            self._live.stop()

    def transfer(self, event: TransferEvent) -> None:
        """Tell of a push or pull, and show a bar for each blob that travels."""
        if isinstance(event, BlobProgress):
            self._travelling[event.digest] = event
        elif isinstance(event, BlobFinished):
            for digest in filter(None, (event.digest, event.layer)):
                self._travelling.pop(digest, None)
        else:
            self._travelling.clear()
        super().transfer(event)

    def _render(self) -> RenderableType:
        if self._travelling:
            return self._render_bars(list(self._travelling.values()))
        if not self._running:
            return Text("")
        elapsed = f" {time.monotonic() - self._since:.0f} s"
        label = Text(self._running)
        label.truncate(max(self._console.width - len(elapsed) - 3, 1), overflow="ellipsis")
        self._spinner.update(text=label.append(elapsed, "dim"))
        return self._spinner

    def _render_bars(self, travelling: list[BlobProgress]) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for one in travelling:
            bar = ProgressBar(total=one.size, completed=one.done, width=min(40, max(self._console.width - 48, 4)))
            share = f"{format_size(one.done)} of {format_size(one.size)}"
            table.add_row(f"{one.direction} sha256:{one.digest.short}", bar, Text(share, "dim"))
        return table


def _style_of(role: Role) -> str:
    style = STYLES[role]
    return " ".join(filter(None, ("bold" if style.get("bold") else "", style.get("fg", ""))))
