"""Progress on a terminal: the running step and its time below a log of what has happened."""

from __future__ import annotations

from contextlib import suppress

from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from kubeimage.cli.progress import PlainProgress


class LiveProgress(PlainProgress):
    """The lines of PlainProgress, coloured, and a spinner with the running step below them."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(lambda _line: None)
        self._console = console or Console(stderr=True, highlight=False)
        self._live = RichProgress(
            SpinnerColumn(),
            TextColumn(
                "{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
            ),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task: TaskID | None = None
        self._live.start()

    def say(self, line: str, style: str = "") -> None:
        """Print a line above the running step."""
        # A terminal that is gone ends no build.
        with suppress(OSError):
            self._console.print(Text(line, style), soft_wrap=True)

    def start(self, label: str) -> None:
        """Tell that a step begins, and show it as running."""
        super().start(label)
        self._task = self._live.add_task(label, total=None)

    def finish(self, ending: str, style: str) -> None:
        """Tell how the step ended; it runs no more."""
        self._stop_task()
        super().finish(ending, style)

    def close(self) -> None:
        """Give the terminal back."""
        super().close()
        self._stop_task()
        with suppress(OSError):
            self._live.stop()

    def _stop_task(self) -> None:
        if self._task is not None:
            self._live.remove_task(self._task)
            self._task = None
