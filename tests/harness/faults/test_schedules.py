"""Processes that make their calls when they are told to, and whether what they saw makes sense."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.contracts import APP, OTHER, make_image
from harness.faults.schedules import DeadlockError, Failed, Turn, side_by_side
from harness.faults.serial import Names, Seen, find_order
from kubeimage.store import Store, locks

FIRST_THEN_SECOND = [Turn(0, 1000), Turn(1, 1000)]


@pytest.fixture
def root(tmp_path: Path) -> str:
    root = str(tmp_path / "store")
    with Store.open(root) as store:
        store.images.put(make_image(), [APP])
    return root


def removal(root: str) -> Callable[[], None]:
    def remove() -> None:
        with Store.open(root) as store:
            store.images.remove(APP)

    return remove


def holder(*paths: Path) -> Callable[[], None]:
    def hold() -> None:
        with ExitStack() as stack:
            for path in paths:
                stack.enter_context(locks.exclusive(str(path)))

    return hold


def test_operations_are_told_of_in_the_order_of_their_ends(root: str) -> None:
    done = side_by_side([[removal(root)], [removal(root)]], FIRST_THEN_SECOND)

    assert [(one.process, one.outcome, one.began, one.ended) for one in done] == [
        (0, None, 1, 1),
        (1, Failed("E0501"), 2, 2),
    ]


def test_who_is_told_to_go_first_goes_first(root: str) -> None:
    done = side_by_side([[removal(root)], [removal(root)]], [Turn(1, 1000)])

    assert [(one.process, one.outcome) for one in done] == [(1, None), (0, Failed("E0501"))]


@pytest.mark.parametrize("calls", [3, 12, 25])
def test_the_same_schedule_is_the_same_run(tmp_path: Path, calls: int) -> None:
    def run(number: int) -> list[object]:
        root = str(tmp_path / f"{calls}-{number}")
        with Store.open(root) as store:
            store.images.put(make_image(), [APP, OTHER])
        turns = [Turn(0, calls), Turn(1, calls)] * 3
        return [tuple(one) for one in side_by_side([[removal(root)], [removal(root), removal(root)]], turns)]

    assert run(0) == run(1)


def test_who_meets_a_lock_waits_while_others_go_on(tmp_path: Path) -> None:
    lock = tmp_path / "lock"

    done = side_by_side([[holder(lock, tmp_path / "other")], [holder(lock)]], [Turn(0, 1), Turn(1, 1000)])

    assert [(one.process, one.began, one.ended) for one in done] == [(0, 1, 3), (1, 2, 4)]


def test_processes_that_wait_for_each_other_are_found(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"

    with pytest.raises(DeadlockError, match=r"the processes \[0, 1\] wait for each other"):
        side_by_side([[holder(one, two)], [holder(two, one)]], [Turn(0, 1), Turn(1, 1)])


def test_an_operation_that_breaks_is_no_outcome(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="process 0 has failed"):
        side_by_side([[lambda: 1 / 0]], [])

    assert "ZeroDivisionError" in capfd.readouterr().err


def naming(name: str, image: str, began: int, ended: int) -> Seen:
    return Seen(f"{name} is {image}", [lambda names: {**names, name: image}], began, ended)


def looking(name: str, image: str, began: int, ended: int) -> Seen:
    def moment(names: Names) -> Names | None:
        return names if names.get(name) == image else None

    return Seen(f"{name} was {image}", [moment], began, ended)


def test_an_order_is_found_where_there_is_one() -> None:
    history = [naming("a", "1", 1, 4), looking("a", "1", 2, 3), naming("a", "2", 3, 5)]

    assert find_order(history, {}, {"a": "2"}) == ["a is 1", "a was 1", "a is 2"]


@pytest.mark.parametrize(
    ("history", "after"),
    [
        pytest.param([naming("a", "1", 1, 3), naming("b", "1", 2, 4)], {"b": "1"}, id="a change is lost"),
        pytest.param([naming("a", "1", 1, 1), naming("a", "2", 2, 2)], {"a": "1"}, id="the first counts"),
        pytest.param([naming("a", "1", 1, 1), looking("a", "0", 2, 2)], {"a": "1"}, id="what was there before is seen"),
        pytest.param([looking("a", "1", 1, 1), naming("a", "1", 2, 2)], {"a": "1"}, id="what comes later is seen"),
    ],
)
def test_no_order_is_found_where(history: list[Seen], after: Names) -> None:
    assert find_order(history, {"a": "0"}, {"a": "0", **after}) is None
