"""Several processes on one store: what comes of it, and what each of them saw, is that of one after the other."""

import itertools
import os
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.fakes.registry import FakeRegistry
from harness.faults.schedules import Done, Turn, side_by_side
from harness.faults.serial import Seen, find_order
from kubeimage.registry import pull, push, referrers
from tests.disk import folder_in_memory
from tests.oneshot import check_store
from tests.properties.examples import examples
from tests.properties.operations import (
    NAMES,
    Build,
    BuildForAll,
    Check,
    Export,
    LetGo,
    Load,
    Merge,
    Operation,
    Prune,
    Pull,
    Push,
    Rmi,
    Save,
    SaveParts,
    Sign,
    Tag,
    names_in,
    operations,
    prepare,
    schedules,
)
from tests.properties.recipes import LOADED, SEVERAL, TEXTS, Recipes
from tests.renewing import RenewedCopy


class Ground:
    """A store and a registry, as they are before each schedule."""

    def __init__(self, folder: Path, registry: FakeRegistry) -> None:
        self.registry = registry
        prepare(folder / "template", registry)
        self._copy = RenewedCopy(folder / "template", folder / "place")
        self.place = self._copy.place
        self._online = deepcopy(registry.content)

    def renew(self) -> None:
        self._copy.renew()
        vars(self.registry.content).update(vars(deepcopy(self._online)))

    def names(self) -> dict[str, str]:
        return names_in(self.place, self.registry)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with (
        pytest.MonkeyPatch.context() as patch,
        folder_in_memory(tmp_path_factory) as folder,
        FakeRegistry() as registry,
    ):
        for module in (pull, push, referrers):
            # Only the calls of a process's first thread wait for their turns.
            patch.setattr(module, "run_all", lambda jobs, *_, **_named: [job() for job in jobs])
        yield Ground(folder, registry)


ONE, TWO, APP, _ = NAMES
# What each changes or needs is what another one takes away.
CROWD: tuple[Operation, ...] = (
    Build(TEXTS[1], ONE, use_cache=True),
    Build(TEXTS[2], APP, use_cache=False),
    Check(repair=True),
    Export(TWO),
    Load(ONE),
    Prune(keep_cache=False),
    Pull(),
    Push(),
    Rmi(ONE),
    Rmi(TWO),
    Save(ONE, compressed=True),
    Tag(ONE, APP),
    Tag(TWO, ONE),
)
# These meet those alone that change or take away what they look at.
SEVERAL_AT_ONCE: tuple[Operation, ...] = (
    BuildForAll(SEVERAL[0], ONE, use_cache=False),
    BuildForAll(SEVERAL[1], TWO, use_cache=True),
    Merge((ONE, TWO), APP),
    Sign(ONE),
)
MEETINGS = [(first, second) for first in CROWD for second in CROWD]
MEETINGS += [
    (first, second)
    for one in SEVERAL_AT_ONCE
    for other in (*SEVERAL_AT_ONCE, Prune(keep_cache=False), Rmi(ONE), Tag(TWO, ONE), Save(ONE, compressed=True))
    for first, second in ((one, other), (other, one))
]
REMOVING = (BuildForAll, LetGo, Prune, Rmi, Tag)
"""What takes something away that another process is just looking at."""
FULL = os.environ.get("KUBEIMAGE_STRESS") == "full"


def chosen_meetings() -> list[tuple[Operation, Operation]]:
    """Return which pairs are tried: of those where nothing is taken away every second, unless there is time."""
    pairs = list(dict.fromkeys(MEETINGS))
    taking = [one for one in pairs if isinstance(one[1], REMOVING)]
    others = [one for one in pairs if one not in taking]
    return [*taking, *(others if FULL else others[::2])]


def stride(second: Operation) -> int:
    """Return how many calls lie between two places that ``second`` is tried at."""
    if FULL:
        return 1
    return 90 if isinstance(second, REMOVING) else 280


@pytest.mark.parametrize(("first", "second"), chosen_meetings(), ids=str)
def test_one_process_may_come_between_two_calls_of_another(ground: Ground, first: Operation, second: Operation) -> None:
    step = stride(second)
    places = [(*CROWD, *SEVERAL_AT_ONCE).index(one) for one in (first, second)]
    start = (places[0] * 7 + places[1] * 5) % step
    for calls in itertools.count(start, step):
        done = check_schedule(ground, [[first], [second]], [Turn(0, calls), Turn(1, 1000)])

        if done[0].process == 0 and done[0].ended == 1:
            break


LEAVING: tuple[Operation, ...] = (Save(ONE, compressed=True), SaveParts(ONE), Merge((ONE, TWO), APP), Tag(ONE, APP))


@pytest.mark.parametrize("first", LEAVING, ids=str)
def test_an_image_of_several_platforms_may_go_while_it_is_read(ground: Ground, first: Operation) -> None:
    build = BuildForAll(SEVERAL[0], ONE, use_cache=True)
    gone: list[Operation] = [Rmi(ONE), Prune(keep_cache=False)]
    # The build ends its turn.
    whole, step = Turn(0, 10_000), 1 if FULL else 23
    for calls in itertools.count(LEAVING.index(first), step):
        turns = [whole, Turn(0, calls), Turn(1, 1000), Turn(1, 1000)]
        done = check_schedule(ground, [[build, first], gone], turns)

        if done[1].process == 0 and done[1].ended == 2:
            break


@examples(0.6)
@example(processes=[[Export("two:1")], [Rmi("two:1")]], turns=[Turn(0, 6)])
@example(processes=[[SaveParts("one:1")], [LetGo()], [Rmi("one:1")]], turns=[Turn(0, 40), Turn(1, 25)])
@example(processes=[[Push()], [Rmi("one:1")], [Rmi("online:1")]], turns=[Turn(1, 16)])
@example(processes=[[Merge(("one:1", "two:1"), "one:1")], [Merge(("two:1", "one:1"), "one:1")]], turns=[])
@given(st.lists(st.lists(operations(), min_size=1, max_size=2), min_size=2, max_size=3), schedules())
@example(
    processes=[[Check(False), Check(False)], [Rmi("app:1")], [Check(False), Rmi("app:1")]],
    turns=[Turn(2, 7), Turn(0, 18), Turn(1, 47), Turn(0, 44), Turn(2, 26)],
)
def test_processes_see_each_other_one_after_the_other(
    ground: Ground, processes: list[list[Operation]], turns: list[Turn]
) -> None:
    check_schedule(ground, processes, turns)


def check_schedule(ground: Ground, processes: Sequence[Sequence[Operation]], turns: Sequence[Turn]) -> list[Done]:
    """Do it, and look for an order in which it all makes sense."""
    ground.renew()
    place, before = ground.place, ground.names()

    done = side_by_side([[partial(one.do, place) for one in process] for process in processes], turns)

    recipes = Recipes(LOADED, *TEXTS[:2])
    history, told = [], f"{turns}:"
    for one in done:
        operation = processes[one.process][one.operation]
        told += f"\n  {one.process}: {operation} gave {one.outcome}, turns {one.began} to {one.ended}"
        history.append(Seen(operation, operation.moments(one.outcome, recipes), one.began, one.ended))
    after = ground.names()
    assert find_order(history, before, after) is not None, f"{told}\nfrom {before}\nto {after}"
    assert [str(one) for one in check_store(str(place / "store")) if one.damage] == [], told
    assert os.listdir(place / "store/ingest") == [], told
    return done
