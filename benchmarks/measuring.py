"""Whole processes, measured from outside: wall seconds, CPU seconds and peak memory."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# Without its bytecode, Python would compile the whole program at each start.
PYTHON_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

_YOUNG = 62
"""Seconds, and some more than a file must be old to be remembered."""


class Sample(NamedTuple):
    """One run of a command. Units: ``wall`` and ``cpu`` in seconds, ``rss`` the largest process's peak in MB."""

    wall: float
    cpu: float
    rss: float


class Side(NamedTuple):
    """A command to run again and again, and what happens before each run, unmeasured."""

    name: str
    command: Sequence[str]
    before: Callable[[], None] = lambda: None
    environment: Mapping[str, str] = PYTHON_ENVIRONMENT


def run(side: Side) -> Sample:
    """Run a command to its end; where it fails, so does the benchmark."""
    side.before()
    start = time.perf_counter()
    process = subprocess.Popen(side.command, env=side.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.stderr.close()
    if status:
        sys.exit(f"{' '.join(side.command)} failed:\n{errors.decode(errors='replace')}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def peak_pss(side: Side) -> float:
    """Run a command, and return the largest sum of PSS of its processes that was seen, in MB.

    PSS shares out what several processes have in common. Source: the kernel's Documentation/filesystems/proc.rst.
    """
    side.before()
    process = subprocess.Popen(side.command, env=side.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most, ended = 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.02):
            most = max(most, sum(map(_pss_of, _tree_of(process.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        if process.wait():
            sys.exit(f"{' '.join(side.command)} failed")
    finally:
        ended.set()
        watcher.join()
    return most / 1024


def _tree_of(process: int) -> list[int]:
    found, waiting = [], [process]
    while waiting:
        one = waiting.pop()
        found.append(one)
        try:
            tasks = os.listdir(f"/proc/{one}/task")
            for task in tasks:
                waiting += map(int, Path(f"/proc/{one}/task/{task}/children").read_text().split())
        except OSError:
            continue
    return found


def _pss_of(process: int) -> int:
    """Return the PSS of a process in KiB, 0 for one that is gone."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def run_in_turn(sides: Sequence[Side], runs: int) -> list[list[Sample]]:
    """Run all sides in turn (A B A B ...), after one warm-up of each."""
    samples: list[list[Sample]] = [[] for _ in sides]
    for number in range(runs + 1):
        for side, kept in zip(sides, samples, strict=True):
            sample = run(side)
            if number:
                kept.append(sample)
    return samples


def settle(made: float) -> None:
    """Wait until files that were made at a time of the monotonic clock are old enough to be remembered."""
    time.sleep(max(made + _YOUNG - time.monotonic(), 0))


def median(samples: Sequence[Sample]) -> float:
    """Give the median of the wall times."""
    return statistics.median(sample.wall for sample in samples)


def peak(samples: Sequence[Sample]) -> float:
    """Give the largest memory."""
    return max(sample.rss for sample in samples)


def machine() -> str:
    """Say what this machine is."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = int(next(line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))) / 2**20
    system = next((line.partition("=")[2].strip('"') for line in _lines("/etc/os-release") if "PRETTY" in line), "")
    return (
        f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, {system}, kernel {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
