"""Where a layer's bytes go: hashed and handed on in large pieces, beside the reading of the next ones."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator
from itertools import cycle
from types import TracebackType
from typing import Self

from kubeimage.disk.threads import can_begin

Sink = Callable[[bytes | memoryview], object]

PIECE = 1 << 20
"""Bytes that are gathered before they are hashed and handed on."""

_BUFFER = 1 << 18
_WAITING = 2


def watched(sink: Sink, watch: Callable[[int], None]) -> Sink:
    """Return a sink that takes the same, and tells ``watch`` how many bytes it has taken so far."""
    taken = 0

    def take(piece: bytes | memoryview) -> None:
        nonlocal taken
        sink(piece)
        taken += len(piece)
        watch(taken)

    return take


class Output:
    """Takes bytes in order, hashes them, and hands them to a sink.

    The first piece that is not the last starts a thread, which hashes and writes from then on: both let go of the
    interpreter lock, so a large layer uses two cores. The thread is gone when the context is left, however it is left.
    """

    def __init__(self, sink: Sink, content: hashlib._Hash | None = None) -> None:
        """Hand on to ``sink``; ``content`` has hashed what came before."""
        self.size = 0
        self._sink = sink
        self._hash = content if content is not None else hashlib.sha256()
        self._parts: list[bytes] = []
        self._gathered = 0
        self._worker: _Worker | None = None
        self._buffers: Iterator[memoryview] | None = None

    def add(self, *data: bytes) -> None:
        """Append ``data``."""
        self._parts += data
        self._gathered += sum(map(len, data))
        if self._gathered >= PIECE:
            self._flush()

    def add_buffer(self, piece: memoryview) -> None:
        """Append what was read into ``buffer()``."""
        self._flush()
        self._pass_on(piece)

    def buffer(self) -> memoryview:
        """Return a buffer that nobody uses any more.

        One is being filled, one is being written, others wait: there is one more of them than that.
        """
        if self._buffers is None:
            self._buffers = cycle([memoryview(bytearray(_BUFFER)) for _ in range(_WAITING + 2)])
        return next(self._buffers)

    def finish(self) -> str:
        """Hand on all that is left, and give the sha256 of everything in hex."""
        last = b"".join(self._parts)
        self._parts.clear()
        if self._worker is None:
            self._consume(last)
        else:
            self._worker.put(last)
            self._worker.finish()
        self.size += len(last)
        return self._hash.hexdigest()

    def stop(self) -> None:
        """End the thread, whatever waits."""
        if self._worker is not None:
            self._worker.stop()

    def _flush(self) -> None:
        if self._parts:
            piece = b"".join(self._parts)
            self._parts.clear()
            self._gathered = 0
            self._pass_on(piece)

    def _pass_on(self, piece: bytes | memoryview) -> None:
        if self._worker is None:
            self._worker = _Worker(self._consume)
        self._worker.put(piece)
        self.size += len(piece)

    def _consume(self, piece: bytes | memoryview) -> None:
        self._hash.update(piece)
        self._sink(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Worker:
    """A thread that consumes pieces in order; its first error is raised in whoever gives it more."""

    def __init__(self, consume: Callable[[bytes | memoryview], None]) -> None:
        self._consume = consume
        self._pieces: queue.Queue[bytes | memoryview | None] = queue.Queue(maxsize=_WAITING)
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="layer output", daemon=True)
        self._runs = can_begin(self._thread)

    def put(self, piece: bytes | memoryview) -> None:
        if not self._runs:
            self._consume(piece)
            return
        self._pieces.put(piece)
        self._raise_error()

    def finish(self) -> None:
        self._join()
        self._raise_error()

    def stop(self) -> None:
        self._stopped = True
        self._join()

    def _join(self) -> None:
        if self._thread.is_alive():
            self._pieces.put(None)
            self._thread.join()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        """Take pieces until there are no more; after an error only take them, so that nobody waits for room."""
        while (piece := self._pieces.get()) is not None:
            if self._error is None and not self._stopped:
                try:
                    self._consume(piece)
                except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that asked for it
                    self._error = error
