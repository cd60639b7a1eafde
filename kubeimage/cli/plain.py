"""Progress as plain lines, for people and for logs."""

from __future__ import annotations

from collections.abc import Callable

from kubeimage.builder.events import (
    BuildFinished,
    BuildStarted,
    Event,
    ImagesLeftOut,
    PackingFinished,
    PackingStarted,
    PlatformStarted,
    StageStarted,
    StepFinished,
    StepOutput,
    StepProgress,
    StepStarted,
    Warned,
)
from kubeimage.builder.step import Step
from kubeimage.cli.output import count, harmless, shorten, shorten_digests
from kubeimage.cli.streams import LineSplitter
from kubeimage.cli.telling import Steps, line_of, sum_up
from kubeimage.errors import Diagnostic, Location
from kubeimage.registry.events import PackingProgress, TransferEvent
from kubeimage.report.columns import fit, wrap
from kubeimage.report.seconds import TOLD_FROM, format_seconds
from kubeimage.report.sizes import format_size
from kubeimage.report.text import Line, lay_out

_OUTPUT_PREFIX = "  | "
_WIDEST_STEP = 120
_LONG = 64 << 20
"""Bytes that take long enough to fetch for people to want to hear of it."""
_INDENT = 6
_SHORTEST_REASON = 12
_PACKING = "[images] packing the container images that manifests and charts name"


class PlainProgress:
    """Lines for people and for logs."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lines = LineSplitter()
        self._total = 0
        self._cached = 0
        self._skipped = 0
        self._done = 0
        self._tenths = Steps(10)

    def __call__(self, event: Event | TransferEvent, /) -> None:
        """Report what has happened."""
        match event:
            case BuildStarted():
                self._total = event.total
                below = f" ({count(event.base_layers, 'layer')})" if event.base_layers else ""
                self.say(f"FROM {harmless(event.base)}{below}")
            case PlatformStarted():
                self.note(f"for {event.platform}")
            case StageStarted():
                below = f" ({count(event.base_layers, 'layer')})" if event.base_layers else ""
                self.say(f"[{event.stage}] FROM {harmless(event.base)}{below}")
            case StepStarted():
                self.start(self._label(event.step))
            case StepOutput():
                self._print(self._lines.feed(event.data))
            case StepProgress():
                self.copied(event)
            case StepFinished():
                self._print(self._lines.finish())
                self._finish(event)
            case Warned():
                self._warn(event)
            case BuildFinished():
                self._sum_up(event)
            case PackingStarted():
                self.start(_PACKING)
            case PackingFinished():
                self._skipped = event.skipped
                self.finish(_ending_of_packing(event), "green" if event.cached else "")
            case ImagesLeftOut():
                self.note(_left_out(event))
            case _:
                self.transfer(event)

    def transfer(self, event: TransferEvent) -> None:
        """Report a push or pull."""
        line = line_of(event)
        if line is not None:
            self.say(line.text, line.style)
        elif isinstance(event, PackingProgress):
            self.packed(event)

    def packed(self, event: PackingProgress) -> None:
        """Show how far the fetching of container images is. Where it takes long, each tenth of it is shown."""
        if event.size >= _LONG and self._tenths.is_next("all", event.done, event.size):
            self.say(f"      {sum_up(event)}")

    def copied(self, event: StepProgress) -> None:
        """Report how far a COPY is: a log is told when it is done."""

    def advise(self, advice: Diagnostic) -> None:
        """Show advice as the compiler-like message that it is."""
        for line in lay_out([advice], self.width):
            self.say_pieces(line)

    def note(self, message: str) -> None:
        """Show a remark."""
        shown = harmless(f"note: {message}")
        for line in [shown] if self.width is None else wrap(shown, self.width, first=0, indent=6):
            self.say(line, "dim")

    def close(self) -> None:
        """Show the last words of a RUN that did not end its line."""
        self._print(self._lines.finish())

    @property
    def width(self) -> int | None:
        """The columns there are, None where lines may be as long as they like."""
        return None

    def say_pieces(self, pieces: Line) -> None:
        """Write a line of a diagnostic."""
        self.say(harmless("".join(piece.text for piece in pieces)))

    def say(self, line: str, style: str = "") -> None:  # noqa: ARG002  the live twin uses it
        """Write a line that stays."""
        self._write(line)

    def start(self, label: str) -> None:
        """Report that a step begins."""
        self.say(label)

    def finish(self, ending: str, style: str) -> None:
        """Report how a step ended, where there is something to tell."""
        if ending:
            self.say(f"{' ' * _INDENT}{ending}", style)

    def _label(self, step: Step) -> str:
        stage = f" {step.stage}" if step.stage else ""
        label = f"[{step.number}/{self._total}{stage}] {shorten(step.shown, _WIDEST_STEP)}"
        return label if self.width is None else fit(label, self.width)

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            # What a terminal would show of a line that was written over itself.
            self.output(harmless(line.rstrip("\r").rpartition("\r")[2]))

    def output(self, line: str) -> None:
        """Report a line that a RUN has printed."""
        self.say(f"{_OUTPUT_PREFIX}{line}")

    def _finish(self, event: StepFinished) -> None:
        if not event.step.makes_layer:
            self.finish("", "")
            return
        self._cached += event.cached
        self._done += not event.cached
        room = _WIDEST_STEP if self.width is None else self.width - _INDENT
        self.finish(_ending_of(event, room), "green" if event.cached else "")

    def _warn(self, event: Warned) -> None:
        self.say(f"warning: {harmless(event.message)}", "yellow")
        if event.step is not None:
            self.say(f"  --> {harmless(_place(event.step.location))}")

    def _sum_up(self, event: BuildFinished) -> None:
        layers = count(len(event.image.layers), "layer")
        size, time = format_size(event.image.size), format_seconds(event.seconds)
        skipped = f"; {count(self._skipped, 'name')} skipped" if self._skipped else ""
        self.say(f"{self._cached} cached, {self._done} done; {layers}, {size}; {time}{skipped}")
        for name in event.references:
            self.say(f"saved as {name}")


def _ending_of(event: StepFinished, room: int) -> str:
    layer = event.layer
    made = f"sha256:{layer.diff_id.short} {format_size(layer.size)}" if layer is not None else "no change"
    made += _time_of(event.seconds)
    if event.cached:
        return f"cached: {made}"
    why = fit(
        shorten(shorten_digests(event.why_missed or ""), _WIDEST_STEP), max(room - len(made) - 3, _SHORTEST_REASON)
    )
    return f"{made} ({why})" if why else made


def _time_of(seconds: float) -> str:
    return f", {format_seconds(seconds)}" if seconds >= TOLD_FROM else ""


def _ending_of_packing(event: PackingFinished) -> str:
    size = sum(layer.size for layer in event.layers)
    made = f"{count(len(event.layers), 'layer')} of {format_size(size)}" if event.layers else "nothing to add"
    return f"{'cached: ' if event.cached else ''}{count(len(event.images), 'image')}, {made}{_time_of(event.seconds)}"


def _left_out(event: ImagesLeftOut) -> str:
    images = count(event.images, "container image") if event.images else ""
    charts = f"those of {count(event.charts, 'chart')}" if event.charts else ""
    return f"{' and '.join(filter(None, (images, charts)))} left out: --pull-images missing packs them"


def _place(location: Location) -> str:
    return f"{location.file}:{location.line}:{location.column}"
