import threading
import time

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
