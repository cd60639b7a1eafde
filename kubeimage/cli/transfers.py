"""What pushes and pulls tell, as lines for people and as objects for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from kubeimage.cli.output import format_json, format_size, harmless
from kubeimage.cli.streams import Muffled
from kubeimage.image.digest import Digest
from kubeimage.registry.events import (
    BlobFinished,
    BlobProgress,
    TransferEvent,
    TransferFinished,
    TransferObserver,
    TransferStarted,
    TransferWarned,
)

if TYPE_CHECKING:
    from kubeimage.cli.live import LiveProgress

_PAST = {"push": "pushed", "pull": "pulled"}
_TENTHS = 10


class Line(NamedTuple):
    """A line and how it looks."""

    text: str
    style: str = ""


def line_of(event: TransferEvent) -> Line | None:
    """Give the line that tells of an event; progress is told by no line."""
    match event:
        case TransferStarted():
            way = "to" if event.direction == "push" else "from"
            place = "" if event.name.startswith(event.place) else f" {way} {harmless(event.place)}"
            return Line(f"{event.direction} {harmless(event.name)}{place}")
        case BlobFinished():
            done = _PAST[event.direction] if event.moved else "mounted" if event.mounted else "there already"
            text = f"      sha256:{event.digest.short} {format_size(event.size)} {done}"
            return Line(text, "" if event.moved else "green")
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
        """Give the object that tells of an event, None where there is nothing new to tell."""
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
                return {"event": "blob_finished", **event._asdict(), "digest": str(event.digest)}
            case TransferWarned():
                return {"event": "warning", "message": event.message, "step": None}
            case TransferFinished():
                return {"event": "transfer_finished", **event._asdict(), "digest": str(event.digest)}


@contextmanager
def open_transfers(mode: str) -> Iterator[TransferObserver]:
    """Give the watcher of a push or pull for ``auto``, ``plain``, ``json`` or ``quiet``, and close it.

    A build's watcher, which tells the same, would cost the import of the builder.
    """
    if mode == "quiet":
        yield lambda _event: None
    elif mode == "json":
        yield _tell_objects(Muffled(sys.stderr))
    elif mode == "auto" and is_terminal():
        with _BarsWhenNeeded() as watch:
            yield watch
    else:
        yield _tell_lines(Muffled(sys.stderr))


def is_terminal() -> bool:
    """Whether standard error is something on which bars can be drawn."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _tell_lines(write: Callable[[str], None]) -> TransferObserver:
    def tell(event: TransferEvent) -> None:
        line = line_of(event)
        if line is not None:
            write(line.text)

    return tell


def _tell_objects(write: Callable[[str], None]) -> TransferObserver:
    objects = Objects()

    def tell(event: TransferEvent) -> None:
        told = objects.object_of(event)
        if told is not None:
            write(format_json(told, indent=None))

    return tell


class _BarsWhenNeeded:
    """Lines on a terminal, and bars from the first byte on that travels: where nothing does, nothing is drawn."""

    def __init__(self) -> None:
        self._tell = _tell_lines(Muffled(sys.stderr))
        self._live: LiveProgress | None = None

    def __call__(self, event: TransferEvent) -> None:
        if self._live is None and isinstance(event, BlobProgress):
            from kubeimage.cli.live import LiveProgress

            self._tell = self._live = LiveProgress()
        self._tell(event)

    def __enter__(self) -> TransferObserver:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._live is not None:
            self._live.close()
