"""What a build does, as log records: ``pytest --log-cli-level=INFO`` shows the steps, DEBUG what commands print."""

from __future__ import annotations

import logging

from kubeimage.builder.events import Event, StepFinished, StepOutput, StepStarted
from kubeimage.report.seconds import format_seconds

_LOG = logging.getLogger("kubeimage.build")


def log_event(event: Event) -> None:
    """Log one event of a build."""
    match event:
        case StepStarted(step):
            _LOG.info("%s:%d: %s", step.location.file, step.location.line, step.text)
        case StepOutput(step, data):
            text = data.decode(errors="replace").rstrip("\n")
            _LOG.debug("%s:%d: %s", step.location.file, step.location.line, text)
        case StepFinished(step, layer, cached, why_missed, seconds) if step.makes_layer:
            made = f"a layer of {layer.size:,} bytes" if layer is not None else "no layer"
            reason = "from the cache" if cached else why_missed or "done"
            time = format_seconds(seconds)
            _LOG.info("%s:%d: %s, %s (%s)", step.location.file, step.location.line, made, time, reason)
