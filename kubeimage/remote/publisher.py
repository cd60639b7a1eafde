"""What was done here goes to where others find it: each step as soon as it is done, while the next one runs.

One thread does it, in the order of the steps, with a session of its own on the store. A cache that cannot be written
is told of once, and left alone.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from kubeimage.disk.threads import can_begin
from kubeimage.errors import KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.remote.reader import Notice
from kubeimage.remote.record import (
    BadRecordError,
    RecordedStep,
    RemoteLayer,
    StepRecord,
    make_artifact,
    read_artifact,
    tag_of,
)
from kubeimage.remote.shelf import Shelf
from kubeimage.signing import Signer
from kubeimage.values import dataclass


@dataclass(frozen=True)
class DoneStep:
    """A step, what it made, and the key of the step before."""

    key: CacheKey
    step: CachedStep
    parent: Digest | None


class LayerSource(Protocol):
    """Gives layers the form that they travel in; one thread uses it."""

    def pack(self, diff_id: Digest) -> RemoteLayer | None:
        """Return the layer and its blob, compressed now if need be; None where the layer is not here.

        Raises: StoreError.
        """
        ...

    def open_blob(self, blob: Descriptor) -> BinaryIO:
        """Open a blob that ``pack`` returned.

        Raises: StoreError.
        """
        ...


class _Job:
    def __init__(self, platform: str, steps: Sequence[DoneStep]) -> None:
        self.platform = platform
        self.steps = steps


class Publisher:
    """Writes records and layers to shelves until it is closed.

    Shape: ``open_source`` is called in the thread that writes. ``now`` gives the time that records are made at.
    """

    def __init__(
        self,
        shelves: Sequence[Shelf],
        open_source: Callable[[], LayerSource],
        close_source: Callable[[], None],
        notice: Notice,
        *,
        signer: Signer | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._shelves = list(shelves)
        self._open_source = open_source
        self._close_source = close_source
        self._notice = notice
        self._signer = signer
        self._now = now
        self._offered: set[tuple[Digest, Digest | None]] = set()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what was done, also of a build that failed then: whoever mends it needs that first. Ctrl-C ends it."""
        if kind is None or issubclass(kind, Exception):
            self.close()
        else:
            self.abandon()

    def offer(self, platform: str, steps: Sequence[DoneStep]) -> None:
        """Queue the record of the last of ``steps``, which are all from the first of the build on."""
        last = steps[-1]
        what = last.key.digest, last.step.layer.diff_id if last.step.layer is not None else None
        if what in self._offered:
            return
        self._offered.add(what)
        if self._stopped.is_set():
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="build cache")
            if not can_begin(self._thread):
                self._thread = None
                self._stopped.set()
                self._notice("the build cache is not written: this system allows no more processes")
        self._jobs.put(_Job(platform, list(steps)))

    def close(self) -> None:
        """Wait until all is written that was offered."""
        if self._thread is None:
            return
        self._jobs.put(None)
        try:
            self._thread.join()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Write nothing more, and wait for what is on its way."""
        self._stopped.set()
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()

    def _work(self) -> None:
        try:
            source = self._open_source()
        except KubeimageError as error:
            self._notice(f"the build cache is not written: {error}")
            return
        try:
            while (job := self._jobs.get()) is not None:
                for shelf in () if self._stopped.is_set() else list(self._shelves):
                    self._write(shelf, job, source)
        finally:
            self._close_source()

    def _write(self, shelf: Shelf, job: _Job, source: LayerSource) -> None:
        try:
            self._publish(shelf, job, source)
        except KubeimageError as error:
            self._shelves.remove(shelf)
            self._notice(f"the build cache {shelf.name} is not written any more: {error}")

    def _publish(self, shelf: Shelf, job: _Job, source: LayerSource) -> None:
        tag = tag_of(job.steps[-1].key.digest)
        if self._is_known(shelf.get(tag), job, shelf):
            return
        packed = self._pack(job.steps, source)
        if packed is None:
            return
        created = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        record = StepRecord(job.platform, shelf.repository, created, packed)
        for layer in record.layers:
            shelf.put_blob(layer.blob, partial(source.open_blob, layer.blob))
        artifact = make_artifact(record, job.steps[-1].key, self._signer)
        for descriptor, data in artifact.blobs:
            shelf.put_blob(descriptor, partial(BytesIO, data))
        shelf.put(tag, artifact.data)

    def _is_known(self, data: bytes | None, job: _Job, shelf: Shelf) -> bool:
        """Whether the shelf's record says what ours would."""
        if data is None:
            return False
        with suppress(BadRecordError):
            found = read_artifact(data)
            ours = [(one.key.digest, one.step.layer and one.step.layer.diff_id) for one in job.steps]
            theirs = [(one.key, one.layer and one.layer.diff_id) for one in found.record.steps]
            is_ours = ours == theirs and found.record.repository == shelf.repository
            return is_ours and (self._signer is None or found.is_signed)
        return False

    def _pack(self, steps: Sequence[DoneStep], source: LayerSource) -> tuple[RecordedStep, ...] | None:
        found: list[RecordedStep] = []
        for one in steps:
            layer = source.pack(one.step.layer.diff_id) if one.step.layer is not None else None
            if layer is None and one.step.layer is not None:
                # It is with those who told of it, and their record with it.
                return None
            found.append(RecordedStep(one.key.digest, layer))
        return tuple(found)


__all__ = ["DoneStep", "LayerSource", "Publisher"]
