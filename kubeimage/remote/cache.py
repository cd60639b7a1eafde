"""The build cache of this machine, and those that others share with it.

What is here counts first. What is not is asked for once, before the first step: the keys of all steps are known by
then, as far as none reads what another one makes, and the record of the last one holds the layers of all before it.

Source: the project's design, "A fleet".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from kubeimage.errors import KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.protocols.cache import BuildCache, CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.remote.layers import RemoteLayers
from kubeimage.remote.publisher import DoneStep, Publisher
from kubeimage.remote.reader import Reader
from kubeimage.remote.record import RecordedStep, StepRecord
from kubeimage.values import dataclass


@dataclass(frozen=True)
class _Answer:
    """What a record says of one of its steps, and who has it."""

    reader: Reader
    record: StepRecord
    number: int

    @property
    def step(self) -> RecordedStep:
        return self.record.steps[self.number]


class RemoteBuildCache:
    """A build cache that asks others for what it does not have, and tells them what was done here.

    Shape: ``whole_key`` completes a key that was made without its sources.
           With ``explains``, the others help to say why a step is not known.
    """

    def __init__(
        self,
        local: BuildCache,
        readers: Sequence[Reader],
        publisher: Publisher | None,
        remote: RemoteLayers,
        *,
        whole_key: Callable[[CacheKey], CacheKey],
        explains: bool = False,
    ) -> None:
        self._hits: dict[Digest, tuple[CacheKey, CachedStep]] = {}
        self._local = local
        self._readers = readers
        self._publisher = publisher
        self._remote = remote
        self._whole_key = whole_key
        self._explains = explains
        self._chain: dict[Digest, DoneStep] = {}
        self._answers: dict[Digest, _Answer] = {}
        self._asked: set[Digest] = set()
        self._has_followers: set[Digest] = set()

    def foresee(self, first: CacheKey, keys: Iterable[CacheKey]) -> None:
        """Ask the caches for the deepest of the steps that this machine does not have."""
        self._begin(first)
        if all(reader.is_off for reader in self._readers):
            return
        known = _take(keys)
        digests = [key.digest for key in known]
        here = next((n for n, key in enumerate(known) if self._local.lookup(key) is None), len(known))
        platform = _platform(first)
        for reader in self._readers:
            record = reader.deepest(digests, platform, max(here, self._depth(digests)))
            if record is not None:
                self._learn(reader, record)
        self._asked.update(digests)
        self._has_followers.update([first.digest, *digests][: self._depth(digests)])
        # A step whose key could not be foreseen is asked for when its turn comes.
        self._has_followers.add(digests[-1] if digests else first.digest)

    def foresee_each(self, first: CacheKey, keys: Iterable[CacheKey]) -> None:
        """Ask the caches for those of the steps that this machine does not have; each stands on ``first`` alone."""
        self._begin(first)
        if all(reader.is_off for reader in self._readers):
            return
        missing = [key.digest for key in keys if self._local.lookup(key) is None]
        for reader in self._readers:
            wanted = [digest for digest in missing if digest not in self._answers]
            for record in reader.each(wanted, _platform(first)):
                self._learn(reader, record)
        self._asked.update(missing)

    def lookup(self, key: CacheKey) -> CachedStep | None:
        """Return what the step with this key made: as this machine remembers it, or one of the others."""
        if key.parent is None:
            self._begin(key)
            return self._local.lookup(key)
        hit = self._local.lookup(key)
        if hit is None:
            hit = self._ask(key)
            if hit is not None:
                self._hits[key.digest] = key, hit
        else:
            self._follow(key, hit, is_here=True)
        return hit

    def record(self, key: CacheKey, step: CachedStep) -> None:
        """Remember what a step made, here and with the others."""
        # What was found out here counts for more than what somebody claimed.
        if key.digest in self._hits:
            self._hits[key.digest] = key, step
        self._local.record(key, step)
        if key.parent is None:
            self._begin(key)
            return
        self._follow(key, step, is_here=True)

    def expects(self, parent: Digest) -> bool:
        """Whether any step after ``parent`` may be remembered, here or elsewhere."""
        return self._local.expects(parent) or (
            parent in self._has_followers and not all(reader.is_off for reader in self._readers)
        )

    def nearest(self, key: CacheKey) -> CacheKey | None:
        """Return the remembered key that is most like ``key``: this machine's, else one of the others.

        The others are asked by who foresees a build alone: it takes many requests, and a build has other things to do.
        """
        found = self._local.nearest(key)
        for reader in self._readers if found is None and self._explains else ():
            found = found or reader.nearest(key)
        return found

    def give_up(self) -> None:
        """Forget what the caches promised: a layer of theirs could not be had, and the build begins anew."""
        self._answers.clear()
        self._hits.clear()
        self._asked.clear()

    def remember_hits(self) -> None:
        """Remember here what the others knew, as far as its layers have come."""
        for key, step in self._hits.values():
            if step.layer is None or self._remote.is_here(step.layer.diff_id):
                self._local.record(key, CachedStep(step.layer))
        self._hits.clear()

    def _begin(self, first: CacheKey) -> None:
        self._chain.setdefault(first.digest, DoneStep(first, CachedStep(None), None))

    def _depth(self, digests: Sequence[Digest]) -> int:
        """Return how many of the steps are answered: an answer to one answers all before it."""
        return next((n for n in range(len(digests), 0, -1) if digests[n - 1] in self._answers), 0)

    def _learn(self, reader: Reader, record: StepRecord) -> None:
        self._remote.promise(record.layers, reader)
        for number, step in enumerate(record.steps):
            self._answers[step.key] = _Answer(reader, record, number)

    def _ask(self, key: CacheKey) -> CachedStep | None:
        if key.digest not in self._asked and key.parent in self._chain:
            self._ask_for_one(key)
        answer = self._answers.get(key.digest)
        if answer is None or not self._fits(answer, key):
            return None
        layer = answer.step.layer
        stored = layer.stored if layer is not None else None
        step = CachedStep(stored, is_claim=not answer.reader.trusted)
        self._follow(key, step, is_here=False)
        return step

    def _ask_for_one(self, key: CacheKey) -> None:
        self._asked.add(key.digest)
        done = self._steps_to(key.parent)
        digests = [*(one.key.digest for one in done[1:]), key.digest]
        for reader in self._readers:
            record = reader.deepest(digests, _platform(done[0].key), len(digests) - 1)
            if record is not None:
                self._learn(reader, record)
                self._has_followers.add(key.digest)
                return

    def _fits(self, answer: _Answer, key: CacheKey) -> bool:
        """Whether the steps before this one made here what they made where the record is from."""
        if answer.reader.is_off:
            return False
        done = self._steps_to(key.parent)[1:]
        before = answer.record.steps[: answer.number]
        made = [one.step.layer.diff_id if one.step.layer is not None else None for one in done]
        if made == [one.layer.diff_id if one.layer is not None else None for one in before]:
            return True
        answer.reader.tell("a record was made on top of another result of an earlier step than this machine has")
        return False

    def _follow(self, key: CacheKey, step: CachedStep, *, is_here: bool) -> None:
        self._chain[key.digest] = DoneStep(key, step, key.parent)
        if is_here and self._publisher is not None and key.parent in self._chain:
            done = self._steps_to(key.digest)
            whole = [*done[:-1], DoneStep(self._whole_key(key), step, key.parent)]
            self._publisher.offer(_platform(done[0].key), whole[1:])

    def _steps_to(self, digest: Digest | None) -> list[DoneStep]:
        """Return the steps from the first key to ``digest``, both included."""
        found: list[DoneStep] = []
        while digest is not None and digest in self._chain:
            found.append(self._chain[digest])
            digest = found[-1].parent
        return found[::-1]


def _take(keys: Iterable[CacheKey]) -> list[CacheKey]:
    """Return the keys up to the first that cannot be made: the build itself will say why."""
    found: list[CacheKey] = []
    with suppress(KubeimageError):
        for key in keys:
            found.append(key)  # noqa: PERF402  what was made before an error counts
    return found


def _platform(first: CacheKey) -> str:
    return dict(first.fields).get("platform", "")


__all__ = ["RemoteBuildCache"]
