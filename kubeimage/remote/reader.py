"""One shelf that a build asks: for the deepest of its steps first, and never longer than it is worth."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TypeVar

from kubeimage.errors import KubeimageError, RegistryError, StoreError
from kubeimage.image.digest import Digest
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.registry.workers import run_all
from kubeimage.remote.record import (
    LONGEST_RECORD,
    BadRecordError,
    FoundRecord,
    RemoteLayer,
    StepRecord,
    check_record,
    read_artifact,
    read_key_text,
    tag_of,
)
from kubeimage.remote.shelf import Shelf, read_small_blob
from kubeimage.signing import Verifier

AT_ONCE = 8
"""Requests that are on their way together."""

LONGEST_WAIT = 30.0
"""Seconds that one build waits for the answers of one shelf, in all: after that it does its steps itself."""

_LOOKED_AT = 64
_WEATHER = (RegistryError, StoreError)

Notice = Callable[[str], None]

T = TypeVar("T")


class Reader:
    """Asks one shelf. What goes wrong there is told once, and then the shelf is not asked any more.

    Shape: with ``trusted`` keys, only records that one of them has signed count.
    Units: ``patience`` in seconds, of all waiting.
    """

    def __init__(
        self,
        shelf: Shelf,
        notice: Notice,
        *,
        trusted: Sequence[Verifier] = (),
        patience: float = LONGEST_WAIT,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.shelf = shelf
        self.trusted = trusted
        self.is_off = False
        self.waited = 0.0
        self._notice = notice
        self._patience = patience
        self._clock = clock
        self._told: set[str] = set()
        self._near: dict[str, list[FoundRecord]] | None = None

    def deepest(self, keys: Sequence[Digest], platform: str, known: int) -> StepRecord | None:
        """Return the record of the last of the steps ``keys`` that has one; the first ``known`` need none.

        A record counts when all its layers are there.
        """
        end = len(keys)
        while end > known and not self.is_off:
            start = max(end - AT_ONCE, known)
            found = self._find_all([keys[: number + 1] for number in range(start, end)], platform)
            if found is not None:
                return found
            end = start
        return None

    def each(self, keys: Sequence[Digest], platform: str) -> list[StepRecord]:
        """Return the records of those steps that have one, and all its layers; none of them stands on another."""
        found: list[StepRecord] = []

        def find(key: Digest) -> None:
            record = self._find([key], platform)
            if record is None:
                return
            lost = next((one for one in record.layers if not self.shelf.has_blob(one.blob)), None)
            if lost is None:
                found.append(record)
            else:
                self._tell_of_lost(lost)

        self._asked(lambda: run_all([partial(find, key) for key in keys], let_end, AT_ONCE))
        return [] if self.is_off else found

    def nearest(self, key: CacheKey) -> CacheKey | None:
        """Return the key of the shelf's records, after the same step, that is most like ``key``."""
        return self._asked(lambda: self._nearest(key))

    def layer_is_lost(self, layer: RemoteLayer, why: str) -> None:
        """Say that a layer cannot be had, and ask the shelf for nothing more."""
        self._turn_off(f"the layer {layer.diff_id} could not be had: {why}")

    def tell(self, message: str) -> None:
        """Say something about the shelf, once."""
        if message not in self._told:
            self._told.add(message)
            self._notice(f"the build cache {self.shelf.name}: {message}")

    def _find_all(self, chains: Sequence[Sequence[Digest]], platform: str) -> StepRecord | None:
        """Ask for the records of several steps at once; return the deepest."""
        found: dict[int, StepRecord] = {}

        def find(number: int) -> None:
            record = self._find(chains[number], platform)
            if record is not None:
                found[number] = record

        self._asked(lambda: run_all([partial(find, one) for one in range(len(chains))], let_end, AT_ONCE))
        deepest_first = [found[number] for number in sorted(found, reverse=True)]
        return next((record for record in deepest_first if self._is_whole(record)), None)

    def _find(self, keys: Sequence[Digest], platform: str) -> StepRecord | None:
        data = self.shelf.get(tag_of(keys[-1]))
        if data is None:
            return None
        try:
            record = read_artifact(data, self.trusted).record
            check_record(record, keys, platform, self.shelf.repository)
        except BadRecordError as error:
            self.tell(f"a record is not believed: {error}")
            return None
        return record

    def _is_whole(self, record: StepRecord) -> bool:
        """Return whether all layers of a record are there."""
        missing: list[RemoteLayer] = []

        def look(layer: RemoteLayer) -> None:
            if not self.shelf.has_blob(layer.blob):
                missing.append(layer)

        self._asked(lambda: run_all([partial(look, layer) for layer in record.layers], let_end, AT_ONCE))
        if missing:
            self._tell_of_lost(missing[0])
        return not missing and not self.is_off

    def _tell_of_lost(self, layer: RemoteLayer) -> None:
        self.tell(f"it has lost the layer {layer.diff_id} of a step")

    def _asked(self, ask: Callable[[], T]) -> T | None:
        """Ask something, and measure how long that takes; a shelf that fails, or that is too slow, is asked no more."""
        if self.is_off:
            return None
        started = self._clock()
        try:
            return ask()
        except _WEATHER as error:
            self._turn_off(str(error))
            return None
        finally:
            self.waited += self._clock() - started
            if self.waited > self._patience:
                self._turn_off(f"it was waited for {self.waited:.0f} s")

    def _turn_off(self, why: str) -> None:
        if not self.is_off:
            self.is_off = True
            self.tell(f"{why}: it is not asked any more, and steps are done here")

    def _nearest(self, key: CacheKey) -> CacheKey | None:
        parent = str(key.parent) if key.parent is not None else ""
        siblings = [one for one in self._records().get(parent, ()) if one.record.key != key.digest]
        newest = sorted(siblings, key=lambda one: one.record.created, reverse=True)[:_LOOKED_AT]
        own = set(key.fields)
        alike: list[tuple[int, int, CacheKey]] = []
        for one in newest:
            try:
                other = read_key_text(read_small_blob(self.shelf, one.key_fields, LONGEST_RECORD), one.parent)
            except (BadRecordError, KubeimageError):
                continue
            if other.fields[:1] == key.fields[:1]:
                differ = len(set(key.sources).symmetric_difference(other.sources))
                alike.append((len(own.intersection(other.fields)) - len(other.fields), -differ, other))
        return max(alike, key=lambda one: one[:2])[2] if alike else None

    def _records(self) -> dict[str, list[FoundRecord]]:
        """Return the shelf's records by the key of the step before; of a large shelf, some of them."""
        if self._near is None:
            self._near = {}
            lock = threading.Lock()
            tags = [tag for tag in self.shelf.tags() if tag.startswith("step-")][:_MOST_RECORDS]

            def read(tag: str) -> None:
                data = self.shelf.get(tag)
                if data is None:
                    return
                try:
                    found = read_artifact(data, self.trusted)
                except BadRecordError:
                    return
                with lock:
                    assert self._near is not None
                    self._near.setdefault(found.parent, []).append(found)

            run_all([partial(read, tag) for tag in tags], let_end, AT_ONCE)
        return self._near


_MOST_RECORDS = 512


def let_end() -> None:
    """Requests that are on their way end by themselves, soon."""


__all__ = ["AT_ONCE", "LONGEST_WAIT", "Notice", "Reader", "let_end"]
