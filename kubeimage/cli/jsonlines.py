"""Progress as one JSON object a line, for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from kubeimage.cli.output import diagnostic_to_json, format_json
from kubeimage.cli.streams import LineSplitter
from kubeimage.cli.telling import Objects
from kubeimage.errors import Diagnostic
from kubeimage.registry.events import TransferEvent


class JsonProgress:
    """Tells each event, piece of advice, note and line of output as an object with the key ``event``."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lines = LineSplitter()
        self._running: Step | None = None
        self._transfers = Objects()

    def __call__(self, event: Event | TransferEvent, /) -> None:
        """Report what has happened."""
        match event:
            case BuildStarted():
                self._tell("build_started", **_started_to_json(event))
            case PlatformStarted():
                self.note(f"for {event.platform}")
            case StageStarted():
                self._tell("stage_started", stage=event.stage, base=event.base, base_layers=event.base_layers)
            case StepStarted():
                self._running = event.step
                self._tell("step_started", **_step_to_json(event.step))
            case StepOutput():
                self._print(self._lines.feed(event.data))
            case StepProgress():
                # Who reads JSON is told of the step when it is done.
                pass
            case StepFinished():
                self._print(self._lines.finish())
                self._running = None
                self._tell("step_finished", **_finished_to_json(event))
            case Warned():
                self._tell("warning", **_warning_to_json(event))
            case BuildFinished():
                self._tell("build_finished", **_built_to_json(event))
            case PackingStarted():
                self._tell("packing_started")
            case PackingFinished():
                self._tell("packing_finished", **_packed_to_json(event))
            case ImagesLeftOut():
                self._tell("images_left_out", images=event.images, charts=event.charts)
            case _:
                self._tell_transfer(event)

    def _tell_transfer(self, event: TransferEvent) -> None:
        told = self._transfers.object_of(event)
        if told is not None:
            self._write(format_json(told, indent=None))

    def advise(self, advice: Diagnostic) -> None:
        """Report advice about the Kubefile."""
        self._tell("advice", **diagnostic_to_json(advice))

    def note(self, message: str) -> None:
        """Report a remark."""
        self._tell("note", message=message)

    def close(self) -> None:
        """Report the last words of a RUN that did not end its line."""
        self._print(self._lines.finish())

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            self._tell("output", step=self._running.number if self._running else None, text=line)

    def _tell(self, event: str, **fields: Any) -> None:
        self._write(format_json({"event": event, **fields}, indent=None))


def _step_to_json(step: Step) -> dict[str, Any]:
    stage = {"stage": step.stage} if step.stage else {}
    return {"step": step.number, **stage, "text": step.text, "file": step.location.file, "line": step.location.line}


def _started_to_json(event: BuildStarted) -> dict[str, Any]:
    return {
        "steps": event.total,
        "dialect": event.dialect,
        "base": event.base,
        "base_layers": event.base_layers,
        "base_digest": str(event.base_digest) if event.base_digest else None,
    }


def _warning_to_json(event: Warned) -> dict[str, Any]:
    step: dict[str, Any] = {"step": None} if event.step is None else _step_to_json(event.step)
    return {"message": event.message, **step}


def _built_to_json(event: BuildFinished) -> dict[str, Any]:
    return {
        "image_id": str(event.image.id),
        "manifest": str(event.manifest),
        "references": list(event.references),
        "layers": len(event.image.layers),
        "size": event.image.size,
        "seconds": _rounded(event.seconds),
    }


def _packed_to_json(event: PackingFinished) -> dict[str, Any]:
    return {
        "images": list(event.images),
        "cached": event.cached,
        "layers": [{"layer": str(one.diff_id), "size": one.size, "value": one.value} for one in event.layers],
        "size": sum(one.size for one in event.layers),
        "seconds": _rounded(event.seconds),
        "skipped": event.skipped,
    }


def _finished_to_json(event: StepFinished) -> dict[str, Any]:
    return {
        **_step_to_json(event.step),
        "cached": event.cached,
        "layer": str(event.layer.diff_id) if event.layer else None,
        "size": event.layer.size if event.layer else None,
        "why_missed": event.why_missed,
        "seconds": _rounded(event.seconds),
    }


def _rounded(seconds: float) -> float:
    """Return milliseconds' worth: more digits say nothing."""
    return round(seconds, 3)
