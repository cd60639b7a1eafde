"""What the workers of one target tell each other by an example database, be they on one machine or on many.

    kubeimage.fuzz.TARGET.seeds      buffers of which each reached something that its finder had not seen
    kubeimage.fuzz.TARGET.findings   documents, of `harness.fuzz.finding`

These are the keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.fuzz.finding import Finding, load_finding, without_words

if TYPE_CHECKING:
    # Importing Hypothesis imports kubeimage, which must be instrumented first.
    from hypothesis.database import ExampleDatabase

# Units: seconds.
_EVERY = 1.0


class SharedCases:
    """The buffers and the findings of a target in a database.

    The database is looked at once a second at most: what is asked for in between is empty.
    """

    def __init__(self, database: ExampleDatabase, target: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._seeds = f"kubeimage.fuzz.{target}.seeds".encode()
        self._findings = f"kubeimage.fuzz.{target}.findings".encode()
        self._clock = clock
        self._next = {self._seeds: float("-inf"), self._findings: float("-inf")}
        self._seen: dict[bytes, set[bytes]] = {self._seeds: set(), self._findings: set()}

    @property
    def is_due(self) -> bool:
        """Whether it is time to look for buffers."""
        return self._clock() >= self._next[self._seeds]

    def new_seeds(self) -> list[bytes]:
        """Return the buffers that were not there before, the shortest first."""
        return sorted(self._news(self._seeds), key=lambda one: (len(one), one))

    def keep_seed(self, buffer: bytes) -> None:
        """Add a buffer."""
        if buffer not in self._seen[self._seeds]:
            self._seen[self._seeds].add(buffer)
            self._database.save(self._seeds, buffer)

    def new_findings(self, *, at_once: bool = False) -> list[Finding]:
        """Return the findings that were not there before; what cannot be read is none.

        With ``at_once`` the database is looked at, whenever that was done last.
        """
        if at_once:
            self._next[self._findings] = float("-inf")
        found = []
        for data in sorted(self._news(self._findings)):
            with suppress(ValueError):
                found.append(load_finding(data))
        return found

    def keep_finding(self, finding: Finding, *, instead_of: Finding | None = None) -> None:
        """Add a finding, and remove the one that it is the smaller form of."""
        data = without_words(finding).dump()
        self._seen[self._findings].add(data)
        self._database.save(self._findings, data)
        if instead_of is not None and (before := without_words(instead_of).dump()) != data:
            self._database.delete(self._findings, before)

    def _news(self, key: bytes) -> set[bytes]:
        now = self._clock()
        if now < self._next[key]:
            return set()
        self._next[key] = now + _EVERY
        new = set(self._database.fetch(key)) - self._seen[key]
        self._seen[key] |= new
        return new
