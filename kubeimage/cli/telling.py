"""What pushes and pulls tell, as lines for people and as objects for programs."""

from __future__ import annotations

from typing import Any, NamedTuple

from kubeimage.cli.output import harmless
from kubeimage.image.digest import Digest
from kubeimage.registry.events import (
    BlobFinished,
    BlobProgress,
    ImageFetched,
    TransferEvent,
    TransferFinished,
    TransferStarted,
    TransferWarned,
)
from kubeimage.report.sizes import format_size

_PAST = {"push": "pushed", "pull": "pulled"}
_TENTHS = 10


class Line(NamedTuple):
    """A line and how it looks."""

    text: str
    style: str = ""


def line_of(event: TransferEvent) -> Line | None:
    """Return the line that tells of an event; progress is told by no line."""
    match event:
        case TransferStarted():
            way = "to" if event.direction == "push" else "from"
            place = "" if event.name.startswith(event.place) else f" {way} {harmless(event.place)}"
            return Line(f"{event.direction} {harmless(event.name)}{place}")
        case BlobFinished():
            done = _PAST[event.direction] if event.moved else "mounted" if event.mounted else "there already"
            text = f"      sha256:{event.digest.short} {format_size(event.size)} {done}"
            return Line(text, "" if event.moved else "green")
        case ImageFetched():
            text = f"      [{event.number}/{event.total}] {harmless(event.name)} {format_size(event.size)}"
            return Line(text)
        case TransferWarned():
            return Line(f"warning: {harmless(event.message)}", "yellow")
        case TransferFinished():
            return Line(f"{_PAST[event.direction]} {harmless(event.name)} as {event.digest}")
    return None


class Objects:
    """Makes objects of events; progress is told as often as a tenth of a blob has travelled."""

    def __init__(self) -> None:
        self._tenths: dict[Digest, int] = {}

    def object_of(self, event: TransferEvent) -> dict[str, Any] | None:
        """Return the object that tells of an event, None where there is nothing new to tell."""
        match event:
            case TransferStarted():
                return {"event": "transfer_started", **event._asdict()}
            case BlobProgress():
                tenths = event.done * _TENTHS // max(event.size, 1)
                if self._tenths.get(event.digest) == tenths:
                    return None
                self._tenths[event.digest] = tenths
                return {"event": "blob_progress", **event._asdict(), "digest": str(event.digest)}
            case BlobFinished():
                layer = str(event.layer) if event.layer else None
                return {"event": "blob_finished", **event._asdict(), "digest": str(event.digest), "layer": layer}
            case ImageFetched():
                return {"event": "image_fetched", **event._asdict()}
            case TransferWarned():
                return {"event": "warning", "message": event.message, "step": None}
            case TransferFinished():
                return {"event": "transfer_finished", **event._asdict(), "digest": str(event.digest)}
