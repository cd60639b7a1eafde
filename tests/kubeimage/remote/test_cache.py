"""What a build remembers of what others told it: what has come here, and nothing that it took back."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.layer.stored import StoredLayer
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.remote.cache import RemoteBuildCache
from kubeimage.remote.record import RecordedStep, RemoteLayer, StepRecord
from tests.properties.examples import examples


def chain(length: int) -> list[CacheKey]:
    """Return the keys of a build: of its base, and of so many steps."""
    keys = [CacheKey(None, (("platform", "linux/amd64"),))]
    for number in range(length):
        keys.append(CacheKey(keys[-1].digest, (("step", str(number)),)))
    return keys


class Local:
    """A cache of this machine, in memory."""

    def __init__(self) -> None:
        self.known: dict[Digest, CachedStep] = {}

    def lookup(self, key: CacheKey) -> CachedStep | None:
        return self.known.get(key.digest)

    def record(self, key: CacheKey, step: CachedStep) -> None:
        self.known[key.digest] = step


class Elsewhere:
    """A reader that knows one record, and the layers that have come from there."""

    trusted: tuple[str, ...] = ()
    is_off = False

    def __init__(self, record: StepRecord, here: set[Digest]) -> None:
        self._record, self._here = record, here

    def deepest(self, keys: Sequence[Digest], _platform: str, known: int) -> StepRecord | None:
        return self._record if self._record.key in keys[known:] else None

    def promise(self, layers: Sequence[RemoteLayer], reader: object) -> None:
        pass

    def is_here(self, diff_id: Digest) -> bool:
        return diff_id in self._here


def layer(number: int, by: str) -> RemoteLayer:
    digest = Digest.of(f"{number} by {by}".encode())
    return RemoteLayer(digest, 512, Descriptor("application/vnd.oci.image.layer.v1.tar", digest, 512))


@examples(1)
@given(
    st.lists(st.sampled_from(["told", "told and here", "nothing"]), min_size=1, max_size=5),
    st.booleans(),
    st.sets(st.integers(0, 4)),
)
def test_what_has_come_is_remembered_and_what_was_made_here_counts_for_more(
    told: list[str], gives_up: bool, made: set[int]
) -> None:
    keys = chain(len(told))
    layers = [None if what == "nothing" else layer(number, "others") for number, what in enumerate(told)]
    steps = tuple(RecordedStep(key.digest, one) for key, one in zip(keys[1:], layers, strict=True))
    here = {one.diff_id for one, what in zip(layers, told, strict=True) if one is not None and what == "told and here"}
    local, elsewhere = Local(), Elsewhere(StepRecord("linux/amd64", "team/cache", "", steps), here)
    parts: Any = local, [elsewhere], None, elsewhere
    cache = RemoteBuildCache(*parts, whole_key=lambda key: key)

    cache.foresee(keys[0], keys[1:])
    found = [cache.lookup(key) for key in keys][1:]
    if gives_up:
        cache.give_up()
    own = {number: layer(number, "us").stored for number in made if number < len(told)}
    for number, stored in own.items():
        cache.record(keys[1 + number], CachedStep(stored))
    cache.remember_hits()

    claimed = [one.stored if one is not None else None for one in layers]
    assert found == [CachedStep(one, is_claim=True) for one in claimed]
    expected: dict[Digest, StoredLayer | None] = {}
    for number, one in enumerate(claimed):
        if number in own:
            # It is here only if somebody put it there; what it is was found out by who made it.
            expected[keys[1 + number].digest] = own[number]
        elif not gives_up and (one is None or one.diff_id in here):
            expected[keys[1 + number].digest] = one
    assert {key: step.layer for key, step in local.known.items()} == expected
    assert not any(step.is_claim for step in local.known.values())
