"""Who watches a push or pull: lines, objects, or bars on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kubeimage.cli.output import format_json
from kubeimage.cli.streams import Muffled, is_terminal
from kubeimage.cli.telling import Objects, line_of
from kubeimage.registry.events import BlobProgress, TransferEvent, TransferObserver

if TYPE_CHECKING:
    from kubeimage.cli.live import LiveProgress


@contextmanager
def open_transfers(mode: str) -> Iterator[TransferObserver]:
    """Yield the watcher of a push or pull for ``auto``, ``plain``, ``json`` or ``quiet``, and close it.

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
