"""What a search was asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass

from harness.databases.place import Place
from harness.fuzz.corpus import Corpus


@dataclass(frozen=True)
class Options:
    """The options of a search, whatever its target.

    Shape: ``share`` says with which of the corpus's buffers a worker begins: (0, 2) is every second one.
    Units: ``seconds`` of time.
    """

    seconds: float
    runs: int | None
    corpus: str | None
    save: str | None
    seed: int
    engine: str
    databases: tuple[Place, ...] = ()
    read_only: bool = False
    share: tuple[int, int] = (0, 1)

    def seeds_of(self, target: str) -> Corpus:
        """Return where the buffers of a target are."""
        return Corpus(self.corpus or os.path.join("fixtures", "corpus", target))

    def crashes_of(self, target: str) -> Corpus:
        """Return where the failing cases of a target go."""
        return Corpus(self.save) if self.save else self.seeds_of(target)
