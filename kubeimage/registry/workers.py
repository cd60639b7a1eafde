"""Several blobs at once, each in a thread: the first that fails ends all."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import takewhile

from kubeimage.disk.threads import can_begin

WORKERS = 4
"""How many jobs run at once, or ask one place."""

MOST_WORKERS = 40
"""How many jobs run at once, however many places they ask."""


def run_all(
    jobs: Sequence[Callable[[], object]],
    stop: Callable[[], None],
    workers: int = WORKERS,
    *,
    places: Sequence[str] = (),
) -> None:
    """Run all ``jobs``; where one fails, or this thread is interrupted, ``stop`` has to end those that run.

    ``places`` may say of each job whom it asks: then each place is asked by up to ``workers`` jobs at once.
    Raises: what the first job that failed has raised, when no job runs any more.
    """
    if len(jobs) == 1:
        jobs[0]()
        return
    queue, failures = _Queue(jobs, places, workers), list[BaseException]()

    def work() -> None:
        while (taken := queue.take()) is not None:
            job, place = taken
            try:
                job()
            except BaseException as error:  # noqa: BLE001  it is raised again, in the thread that waits
                first = not failures
                failures.append(error)
                queue.close()
                if first:
                    stop()
            finally:
                queue.give_back(place)

    most = min(workers * max(len(set(places)), 1), MOST_WORKERS, len(jobs))
    threads = [threading.Thread(target=work, name=f"blobs {n}") for n in range(most)]
    try:
        # As many as there can be; where that is none, this one does it all.
        if not sum(takewhile(bool, map(can_begin, threads))):
            work()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    except BaseException as error:
        failures.append(error)
        queue.close()
        stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        raise
    if failures:
        raise failures[0]


class _Queue:
    """Gives out jobs in their order, but for those whose place is asked by enough others."""

    def __init__(self, jobs: Sequence[Callable[[], object]], places: Sequence[str], workers: int) -> None:
        self._waiting = list(zip(jobs, places or [""] * len(jobs), strict=True))
        self._workers = workers if places else len(jobs)
        self._busy = Counter[str]()
        self._changed = threading.Condition()

    def take(self) -> tuple[Callable[[], object], str] | None:
        """Return the next job with its place, as soon as that has room; None where no job waits."""
        with self._changed:
            while self._waiting:
                for number, (job, place) in enumerate(self._waiting):
                    if self._busy[place] < self._workers:
                        del self._waiting[number]
                        self._busy[place] += 1
                        return job, place
                self._changed.wait()
        return None

    def give_back(self, place: str) -> None:
        """Say that a job has ended."""
        with self._changed:
            self._busy[place] -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Begin no further job."""
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()


__all__ = ["MOST_WORKERS", "WORKERS", "run_all"]
