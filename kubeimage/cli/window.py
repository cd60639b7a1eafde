"""The window below the log of a terminal: how long something runs, bars, and a RUN's latest lines.

Only this module draws, and only it needs rich.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TextIO

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from kubeimage.cli.now import Bar, Now
from kubeimage.report.columns import fit
from kubeimage.report.seconds import format_seconds
from kubeimage.report.sizes import format_size

_TIMES_A_SECOND = 10
_INDENT = 6
_MOST_BARS = 8
_WIDEST_BAR = 40
_NARROWEST_BAR = 4
_SHARE = 16
_RATE = 8


class Window:
    """Draws what is going on, ten times a second.

    Raises: OSError where the terminal is gone.
    """

    def __init__(self, now: Now, stream: TextIO) -> None:
        self._now = now
        self._stream = stream
        self._console = Console(file=stream, highlight=False, force_terminal=True)
        self._measure()
        self._spinner = Spinner("dots")
        self._live = Live(
            get_renderable=self.render,
            console=self._console,
            refresh_per_second=_TIMES_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start()

    def print(self, parts: list[tuple[str, str]]) -> None:
        """Print a line above; ``parts`` are texts with their styles."""
        self._console.print(Text.assemble(*parts), soft_wrap=True)

    def close(self) -> None:
        """Restore the terminal, with nothing of the window left on it."""
        self._live.stop()

    def _measure(self) -> None:
        """Learn the size of the terminal, which may change: rich would ask another stream."""
        with suppress(OSError, ValueError):
            columns, lines = os.get_terminal_size(self._stream.fileno())
            if columns and lines:
                self._console.size = ConsoleDimensions(columns, lines)

    def render(self) -> RenderableType:
        """Return what is to be seen now."""
        self._measure()
        since, bars, lines = self._now.since, list(self._now.bars.values()), list(self._now.lines)
        if since is None and not bars:
            return Text("")
        width, height = self._console.width, max(self._console.height - 2, 1)
        parts: list[RenderableType] = []
        if since is not None:
            parts.append(self._head(since, width))
        if bars:
            parts.append(_bars(bars[:_MOST_BARS], width))
        if len(bars) > _MOST_BARS:
            parts.append(Text(f"{' ' * _INDENT}and {len(bars) - _MOST_BARS} more", "dim"))
        shown = lines[-max(height - len(parts), 1) :]
        parts += [Text(fit(f"{' ' * _INDENT}│ {line}", width - 1), "dim", no_wrap=True) for line in shown]
        return Group(*parts)

    def _head(self, since: float, width: int) -> Text:
        frame = self._spinner.render(time.monotonic())
        elapsed = format_seconds(time.monotonic() - since)
        said = f"  {self._now.said}" if self._now.said else ""
        told = fit(f" {elapsed}{said}", max(width - _INDENT, 1))
        return Text.assemble(" " * (_INDENT - 2), (str(frame), "cyan"), told, no_wrap=True)


def _bars(bars: list[Bar], width: int) -> Table:
    table = Table.grid(padding=(0, 1))
    label = max(len(bar.label) for bar in bars)
    room = width - _INDENT - (label + 1 if label else 0) - _SHARE - _RATE - 3
    for bar in bars:
        drawn = ProgressBar(total=bar.total, completed=bar.done, width=min(_WIDEST_BAR, max(room, _NARROWEST_BAR)))
        share = Text(f"{format_size(bar.done)} of {format_size(bar.total)}", no_wrap=True)
        rate = Text(f"{format_size(round(bar.rate))}/s" if bar.rate else "", "dim", no_wrap=True)
        name = [Text(bar.label, "dim", no_wrap=True)] if label else []
        table.add_row(" " * (_INDENT - 1), *name, drawn, share, rate)
    return table
