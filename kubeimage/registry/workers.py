"""Several blobs at once, each in a thread: the first that fails ends all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

WORKERS = 4


def run_all(jobs: Sequence[Callable[[], object]], stop: Callable[[], None], workers: int = WORKERS) -> None:
    """Run all ``jobs``; where one fails, or this thread is interrupted, ``stop`` has to end those that run.

    Raises: what the first job that failed has raised, when no job runs any more.
    """
    if len(jobs) == 1:
        jobs[0]()
        return
    waiting = iter(list(jobs))
    take, failures = threading.Lock(), list[BaseException]()

    def work() -> None:
        while not failures:
            with take:
                job = next(waiting, None)
            if job is None:
                return
            try:
                job()
            except BaseException as error:  # noqa: BLE001  it is raised again, in the thread that waits
                first = not failures
                failures.append(error)
                if first:
                    stop()

    threads = [threading.Thread(target=work, name=f"blobs {n}") for n in range(min(workers, len(jobs)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException as error:
        failures.append(error)
        stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        raise
    if failures:
        raise failures[0]
