import threading
import time
from collections import Counter
from functools import partial

import pytest

from kubeimage.registry.workers import run_all


def test_all_jobs_are_done_several_at_once() -> None:
    together = threading.Barrier(3, timeout=20)
    done: list[int] = []

    def work() -> None:
        together.wait()
        done.append(1)

    run_all([work] * 6, stop=lambda: None, workers=3)

    assert done == [1] * 6


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_first_failure_is_raised_when_nothing_runs_any_more(count: int) -> None:
    before = set(threading.enumerate())
    stopped = threading.Event()

    def fail() -> None:
        raise ValueError("first")

    def wait() -> None:
        stopped.wait(20)
        raise ValueError("for it was stopped")

    with pytest.raises(ValueError, match="first"):
        run_all([fail, *[wait] * (count - 1)], stopped.set, workers=5)

    assert set(threading.enumerate()) <= before


def test_after_a_failure_no_job_is_begun() -> None:
    begun: list[int] = []

    def fail() -> None:
        begun.append(1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_all([fail] * 10, lambda: None, workers=1)

    assert begun == [1]


def test_an_interrupt_stops_what_runs() -> None:
    stopped = threading.Event()

    def interrupt() -> None:
        time.sleep(0.05)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all([interrupt, lambda: stopped.wait(20)], stopped.set)

    assert stopped.is_set()


def test_nothing_to_do_is_done() -> None:
    run_all([], lambda: None)


def test_each_place_is_asked_by_so_many_at_once_and_all_places_side_by_side() -> None:
    places = ["a"] * 6 + ["b"] * 6 + ["c"]
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lock, together = threading.Lock(), threading.Barrier(5, timeout=20)

    def ask(place: str, *, waits: bool) -> None:
        with lock:
            running[place] += 1
            most[place] = max(most[place], running[place])
        if waits:
            together.wait()
        with lock:
            running[place] -= 1

    # The first two of each place meet, so five run at once; the others come when there is room.
    waiting = {0, 1, 6, 7, 12}
    jobs = [partial(ask, place, waits=number in waiting) for number, place in enumerate(places)]
    run_all(jobs, lambda: None, 2, places=places)

    assert most["a"] == most["b"] == 2
    assert most["c"] == 1


def test_who_waits_for_room_is_stopped_by_a_failure_too() -> None:
    begun: list[int] = []
    held = threading.Event()

    def hold() -> None:
        begun.append(1)
        held.wait(20)

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_all([hold, hold, fail], held.set, 1, places=["a", "a", "b"])

    assert begun == [1]
