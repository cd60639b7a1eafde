"""What a build tells while it runs, on standard error: plain lines, JSON lines, a live terminal, or nothing.

Nobody has to read it: a reader that goes away ends no build.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from kubeimage.builder.events import (
    BuildFinished,
    BuildStarted,
    Event,
    StepFinished,
    StepOutput,
    StepStarted,
    Warned,
)
from kubeimage.builder.plan import Step
from kubeimage.cli.output import (
    count,
    diagnostic_to_json,
    format_json,
    format_size,
    give_up,
    harmless,
    shorten,
    shorten_digests,
)
from kubeimage.errors import Diagnostic, Location
from kubeimage.report import format_diagnostics

OUTPUT_PREFIX = "  | "
_LONGEST_LINE = 8192
_WIDEST_STEP = 120

Write = Callable[[str], None]


class Progress(Protocol):
    """Somebody who watches a build."""

    def __call__(self, event: Event, /) -> None:
        """Observe what the executor does."""
        ...

    def advise(self, advice: Diagnostic) -> None:
        """Pass on advice about the Kubefile."""
        ...

    def note(self, message: str) -> None:
        """Pass on what ``auto`` chose and the like."""
        ...

    def close(self) -> None:
        """Tell what is not told yet: the build is over, or has failed."""
        ...


@contextmanager
def open_progress(mode: str) -> Iterator[Progress]:
    """Give the watcher for ``auto``, ``plain``, ``json`` or ``quiet``, and close it."""
    progress = _make(mode, Muffled(sys.stderr))
    try:
        yield progress
    finally:
        progress.close()


def _make(mode: str, write: Write) -> Progress:
    if mode == "quiet":
        return QuietProgress()
    if mode == "json":
        return JsonProgress(write)
    if mode == "auto" and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from kubeimage.cli.live import LiveProgress

        return LiveProgress()
    return PlainProgress(write)


class Muffled:
    """Writes lines to a stream until that fails, and is silent from then on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._broken = False

    def __call__(self, line: str) -> None:
        """Write one line, now."""
        if self._broken:
            return
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except OSError:
            self._broken = True
            give_up(self._stream)


class LineSplitter:
    """Cuts a stream of bytes into lines of text; an endless line is cut where it gets too long."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    def feed(self, data: bytes, *, final: bool = False) -> list[str]:
        """Give the lines that are whole now."""
        *lines, rest = (self._rest + self._decode(data, final)).split("\n")
        while len(rest) > _LONGEST_LINE or (final and rest):
            lines.append(rest[:_LONGEST_LINE])
            rest = rest[_LONGEST_LINE:]
        self._rest = rest
        return lines

    def finish(self) -> list[str]:
        """Give what is left, as a line."""
        return self.feed(b"", final=True)


class QuietProgress:
    """Tells nothing."""

    def __call__(self, event: Event, /) -> None:
        """Observe nothing."""

    def advise(self, advice: Diagnostic) -> None:
        """Tell nothing."""

    def note(self, message: str) -> None:
        """Tell nothing."""

    def close(self) -> None:
        """Tell nothing."""


class PlainProgress:
    """Lines for people and for logs."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._lines = LineSplitter()
        self._total = 0
        self._cached = 0
        self._done = 0

    def __call__(self, event: Event, /) -> None:
        """Tell what has happened."""
        match event:
            case BuildStarted():
                self._total = event.total
                below = f" ({count(event.base_layers, 'layer')})" if event.base_layers else ""
                self.say(f"FROM {harmless(event.base)}{below}")
            case StepStarted():
                self.start(self._label(event.step))
            case StepOutput():
                self._print(self._lines.feed(event.data))
            case StepFinished():
                self._print(self._lines.finish())
                self._finish(event)
            case Warned():
                self._warn(event)
            case BuildFinished():
                self._sum_up(event)

    def advise(self, advice: Diagnostic) -> None:
        """Show advice as the compiler-like message that it is."""
        for line in format_diagnostics([advice]).split("\n"):
            self.say(harmless(line), "yellow" if line.startswith("warning") else "")

    def note(self, message: str) -> None:
        """Show a remark."""
        self.say(f"note: {harmless(message)}", "dim")

    def close(self) -> None:
        """Show the last words of a RUN that did not end its line."""
        self._print(self._lines.finish())

    def say(self, line: str, style: str = "") -> None:  # noqa: ARG002  the live twin uses it
        """Write a line that stays."""
        self._write(line)

    def start(self, label: str) -> None:
        """Tell that a step begins."""
        self.say(label)

    def finish(self, ending: str, style: str) -> None:
        """Tell how a step ended, where there is something to tell."""
        if ending:
            self.say(f"      {ending}", style)

    def _label(self, step: Step) -> str:
        return f"[{step.number}/{self._total}] {shorten(step.text, _WIDEST_STEP)}"

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            # What a terminal would show of a line that was written over itself.
            self.say(OUTPUT_PREFIX + harmless(line.rstrip("\r").rpartition("\r")[2]))

    def _finish(self, event: StepFinished) -> None:
        if not event.step.makes_layer:
            self.finish("", "")
            return
        self._cached += event.cached
        self._done += not event.cached
        self.finish(_ending_of(event), "green" if event.cached else "")

    def _warn(self, event: Warned) -> None:
        self.say(f"warning: {harmless(event.message)}", "yellow")
        if event.step is not None:
            self.say(f"  --> {harmless(_place(event.step.location))}")

    def _sum_up(self, event: BuildFinished) -> None:
        layers = count(len(event.image.layers), "layer")
        self.say(f"{self._cached} cached, {self._done} done; {layers}, {format_size(event.image.size)}")
        for name in event.references:
            self.say(f"saved as {name}")


def _ending_of(event: StepFinished) -> str:
    layer = event.layer
    made = f"sha256:{layer.diff_id.short} {format_size(layer.size)}" if layer is not None else "no change"
    if event.cached:
        return f"cached: {made}"
    why = shorten(shorten_digests(event.why_missed or ""), _WIDEST_STEP)
    return f"{made} ({why})" if why else made


def _place(location: Location) -> str:
    return f"{location.file}:{location.line}:{location.column}"


class JsonProgress:
    """One JSON object a line, for programs."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._lines = LineSplitter()
        self._running: Step | None = None

    def __call__(self, event: Event, /) -> None:
        """Tell what has happened."""
        match event:
            case BuildStarted():
                self._tell("build_started", steps=event.total, base=event.base, base_layers=event.base_layers)
            case StepStarted():
                self._running = event.step
                self._tell("step_started", **_step_to_json(event.step))
            case StepOutput():
                self._print(self._lines.feed(event.data))
            case StepFinished():
                self._print(self._lines.finish())
                self._running = None
                self._tell("step_finished", **_finished_to_json(event))
            case Warned():
                step = event.step
                fields = _step_to_json(step) if step is not None else {"step": None}
                self._tell("warning", message=event.message, **fields)
            case BuildFinished():
                self._tell(
                    "build_finished",
                    image_id=str(event.image.id),
                    manifest=str(event.manifest),
                    references=list(event.references),
                    layers=len(event.image.layers),
                    size=event.image.size,
                )

    def advise(self, advice: Diagnostic) -> None:
        """Tell advice about the Kubefile."""
        self._tell("advice", **diagnostic_to_json(advice))

    def note(self, message: str) -> None:
        """Tell a remark."""
        self._tell("note", message=message)

    def close(self) -> None:
        """Tell the last words of a RUN that did not end its line."""
        self._print(self._lines.finish())

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            self._tell("output", step=self._running.number if self._running else None, text=line)

    def _tell(self, event: str, **fields: Any) -> None:
        self._write(format_json({"event": event, **fields}, indent=None))


def _step_to_json(step: Step) -> dict[str, Any]:
    return {"step": step.number, "text": step.text, "file": step.location.file, "line": step.location.line}


def _finished_to_json(event: StepFinished) -> dict[str, Any]:
    return {
        **_step_to_json(event.step),
        "cached": event.cached,
        "layer": str(event.layer.diff_id) if event.layer else None,
        "size": event.layer.size if event.layer else None,
        "why_missed": event.why_missed,
    }
