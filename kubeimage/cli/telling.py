"""What pushes and pulls tell, as lines for people and as objects for programs."""

from __future__ import annotations

from typing import Any, NamedTuple

from kubeimage.cli.output import harmless
from kubeimage.registry.events import (
    BlobFinished,
    BlobProgress,
    ImageFetched,
    ImageLookedUp,
    PackingProgress,
    ReferrerFinished,
    TransferEvent,
    TransferFinished,
    TransferStarted,
    TransferWarned,
)
from kubeimage.report.sizes import format_size

_PAST = {"push": "pushed", "pull": "pulled"}
_TENTHS = 10
_HUNDREDTHS = 100


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
        case ReferrerFinished():
            return Line(f"      {harmless(event.label)} {event.digest} {_PAST[event.direction]}")
        case TransferWarned():
            return Line(f"warning: {harmless(event.message)}", "yellow")
        case TransferFinished():
            return Line(f"{_PAST[event.direction]} {harmless(event.name)} as {event.digest}")
    return None


class Steps:
    """Tells when something has come another step further. Shape: ``parts`` is how many steps all of it takes."""

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self._reached: dict[object, int] = {}

    def is_next(self, what: object, done: int, size: int) -> bool:
        """Whether ``done`` of ``size`` is a step that ``what`` was not at before."""
        step = done * self._parts // max(size, 1)
        if self._reached.get(what) == step:
            return False
        self._reached[what] = step
        return True


def sum_up(event: PackingProgress) -> str:
    """Return how far the fetching of container images is, on one line."""
    come = f"{format_size(event.done)} of {format_size(event.size)}"
    return f"{event.number} of {event.total} images, {come}: {harmless(event.name)}"


class Objects:
    """Makes objects of events; progress is told as often as a tenth of a blob has travelled, a hundredth of all."""

    def __init__(self) -> None:
        self._blobs = Steps(_TENTHS)
        self._images = Steps(_HUNDREDTHS)

    def object_of(self, event: TransferEvent) -> dict[str, Any] | None:
        """Return the object that tells of an event, None where there is nothing new to tell."""
        match event:
            case TransferStarted():
                return {"event": "transfer_started", **event._asdict()}
            case BlobProgress():
                if not self._blobs.is_next(event.digest, event.done, event.size):
                    return None
                return {"event": "blob_progress", **event._asdict(), "digest": str(event.digest)}
            case BlobFinished():
                layer = str(event.layer) if event.layer else None
                return {"event": "blob_finished", **event._asdict(), "digest": str(event.digest), "layer": layer}
            case ImageFetched():
                return {"event": "image_fetched", **event._asdict()}
            case ImageLookedUp():
                return {"event": "image_looked_up", **event._asdict()}
            case PackingProgress():
                is_next = self._images.is_next("all", event.done, event.size)
                return {"event": "packing_progress", **event._asdict()} if is_next else None
            case ReferrerFinished():
                digests = {"digest": str(event.digest), "subject": str(event.subject)}
                return {"event": "referrer_finished", **event._asdict(), **digests}
            case TransferWarned():
                return {"event": "warning", "message": event.message, "step": None}
            case TransferFinished():
                return {"event": "transfer_finished", **event._asdict(), "digest": str(event.digest)}
