"""Several processes on one store: what comes of it, and what each of them saw, is that of one after the other."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.schedules import Done, Turn, side_by_side
from harness.serial import Seen, find_order
from kubeimage.maintenance import check_store
from tests.properties.examples import examples
from tests.properties.operations import (
    LOADED,
    NAMES,
    TEXTS,
    Build,
    Check,
    Load,
    Operation,
    Prune,
    Recipes,
    Rmi,
    Save,
    Tag,
    names_in,
    operations,
    prepare,
    schedules,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    memory = "/dev/shm"
    quick = memory if os.access(memory, os.W_OK) else tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="kubeimage-", dir=quick) as folder:
        # What the kernel has taken is there for all processes; waiting for the disk would only make these tests slow.
        patch.setattr(os, "fsync", lambda _: None)
        prepare(Path(folder, "template"))
        yield Path(folder)


ONE, TWO, APP = NAMES
# What each changes or needs is what another one takes away.
CROWD: tuple[Operation, ...] = (
    Build(TEXTS[1], ONE, use_cache=True),
    Build(TEXTS[2], APP, use_cache=False),
    Check(repair=True),
    Load(ONE),
    Prune(keep_cache=False),
    Rmi(ONE),
    Save(ONE, compressed=True),
    Tag(ONE, APP),
    Tag(TWO, ONE),
)
STRIDE = 1 if os.environ.get("KUBEIMAGE_STRESS") == "full" else 25


@pytest.mark.parametrize("first", CROWD, ids=str)
@pytest.mark.parametrize("second", CROWD, ids=str)
def test_one_process_may_come_between_two_calls_of_another(folder: Path, first: Operation, second: Operation) -> None:
    start = (CROWD.index(first) * 7 + CROWD.index(second) * 5) % STRIDE
    for calls in itertools.count(start, STRIDE):
        done = check_schedule(folder, [[first], [second]], [Turn(0, calls), Turn(1, 1000)])

        if done[0].process == 0 and done[0].ended == 1:
            break


@examples(0.6)
@given(st.lists(st.lists(operations(), min_size=1, max_size=2), min_size=2, max_size=3), schedules())
@example(
    processes=[[Check(False), Check(False)], [Rmi("app:1")], [Check(False), Rmi("app:1")]],
    turns=[Turn(2, 7), Turn(0, 18), Turn(1, 47), Turn(0, 44), Turn(2, 26)],
)
def test_processes_see_each_other_one_after_the_other(
    folder: Path, processes: list[list[Operation]], turns: list[Turn]
) -> None:
    check_schedule(folder, processes, turns)


def check_schedule(folder: Path, processes: Sequence[Sequence[Operation]], turns: Sequence[Turn]) -> list[Done]:
    """Do it, and look for an order in which it all makes sense."""
    place = folder / "place"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder / "template", place)
    before = names_in(place)

    done = side_by_side([[partial(one.do, place) for one in process] for process in processes], turns)

    recipes = Recipes(LOADED, *TEXTS[:2])
    history, told = [], f"{turns}:"
    for one in done:
        operation = processes[one.process][one.operation]
        told += f"\n  {one.process}: {operation} gave {one.outcome}, turns {one.began} to {one.ended}"
        history.append(Seen(operation, operation.moments(one.outcome, recipes), one.began, one.ended))
    after = names_in(place)
    assert find_order(history, before, after) is not None, f"{told}\nfrom {before}\nto {after}"
    assert [str(one) for one in check_store(str(place / "store")) if one.damage] == [], told
    assert os.listdir(place / "store/ingest") == [], told
    return done
