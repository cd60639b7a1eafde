"""Several workers: processes that search at once, share a database, and end with one summary.

    command ──starts──> worker, a process of its own for each part of the work
    command <──lines of JSON by a pipe── worker: how far it is, what it has found, what to tell
    worker <──> worker: by the database, whatever machine they are on

A worker ends when who started it is gone.
"""

from __future__ import annotations

import json
import math
import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from harness.fuzz.finding import Finding, load_finding
from harness.fuzz.options import Options
from harness.fuzz.progress import Progress
from harness.fuzz.target import NAMES

PROGRAM: tuple[str, ...] = (sys.executable, "-m", "harness.fuzz")
# Units: seconds.
_LOOKS = 0.2
_TO_END = 20.0


class Job(NamedTuple):
    """What one worker does. Shape: ``arguments`` are those of the command line behind the target."""

    target: str
    arguments: tuple[str, ...]


def jobs(name: str | None, options: Options, workers: int) -> list[Job]:
    """Divide a search: each worker has a target, and several of one target each their own part of its corpus.

    Where there are more targets than workers, each has its part of the time.
    """
    targets = [name] if name is not None else list(NAMES)
    count = max(workers, len(targets))
    rounds = math.ceil(count / workers)
    found = []
    for number in range(count):
        target = targets[number % len(targets)]
        parts = len(range(number % len(targets), count, len(targets)))
        divided = {"--time": options.seconds / rounds, "--seed": options.seed + number, "--engine": options.engine}
        if options.runs is not None:
            divided["--runs"] = math.ceil(options.runs / count)
        divided |= {name: given for name, given in (("--corpus", options.corpus), ("--save", options.save)) if given}
        words = [word for option, value in divided.items() for word in (option, str(value))]
        words += ["--share", str(number // len(targets)), str(parts)]
        words += [word for one in options.databases for word in ("--database", one.text)]
        found.append(Job(target, (*words, *(["--database-read-only"] if options.read_only else []))))
    return found


@dataclass
class _Worker:
    """A process at work. Shape: ``number`` counts from 1."""

    number: int
    job: Job
    process: subprocess.Popen[bytes]
    pipe: IO[bytes]
    runs: int = 0
    rest: bytes = b""

    def read(self) -> list[bytes] | None:
        """Return the whole lines that came; None at the end."""
        data = os.read(self.pipe.fileno(), 1 << 16)
        *lines, self.rest = (self.rest + data).split(b"\n")
        return lines if data else None


@dataclass
class Team:
    """Runs jobs, ``most`` at a time, and tells of all of them together.

    Shape: ``reports`` has what is called once for each finding of a target, with the smallest case. ``status`` makes
           the line about all of runs and findings. ``deaths`` says which workers were lost, and how.
    """

    jobs: Sequence[Job]
    most: int
    reports: Mapping[str, Callable[[Finding], None]]
    progress: Progress
    status: Callable[[int, int], str]
    reported: set[tuple[str, str]] = field(default_factory=set)
    deaths: list[str] = field(default_factory=list)
    _open: list[_Worker] = field(default_factory=list)
    _runs_before: int = 0
    _large: dict[tuple[str, str], Finding] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Run all jobs to their end; Ctrl-C ends them early, and a second one at once."""
        waiting = list(enumerate(self.jobs, 1))
        try:
            with selectors.DefaultSelector() as selector:
                while waiting or self._open:
                    while waiting and len(self._open) < self.most:
                        self._start(selector, *waiting.pop(0))
                    self._hear(selector)
        except KeyboardInterrupt:
            self._end()
        finally:
            self._kill()
        for (target, _), finding in self._large.items():
            self._take(target, finding, anyhow=True)

    def tell(self, line: str) -> None:
        """Say something once, however many workers say it."""
        if line not in self._told:
            self._told.add(line)
            self.progress.tell(line)

    @property
    def runs(self) -> int:
        """How many cases all of them have tried."""
        return self._runs_before + sum(worker.runs for worker in self._open)

    def _start(self, selector: selectors.BaseSelector, number: int, job: Job) -> None:
        reading, writing = os.pipe()
        command = [*PROGRAM, job.target, *job.arguments, "--report-to", str(writing)]
        try:
            # A group of its own: Ctrl-C at a terminal reaches who started it, and is handed on from there.
            process = subprocess.Popen(command, pass_fds=[writing], stdin=subprocess.DEVNULL, start_new_session=True)
        finally:
            os.close(writing)
        worker = _Worker(number, job, process, os.fdopen(reading, "rb", buffering=0))
        self._open.append(worker)
        selector.register(worker.pipe, selectors.EVENT_READ, worker)

    def _hear(self, selector: selectors.BaseSelector) -> None:
        for key, _ in selector.select(_LOOKS):
            worker: _Worker = key.data
            lines = worker.read()
            for line in lines or []:
                self._understand(worker, line)
            if lines is None:
                selector.unregister(worker.pipe)
                self._close(worker)
        if self.progress.is_due():
            self.progress.tell(self.status(self.runs, len(self.reported)))

    def _understand(self, worker: _Worker, line: bytes) -> None:
        said = json.loads(line)
        worker.runs = said.get("runs", worker.runs)
        if "finding" in said:
            self._take(worker.job.target, load_finding(said["finding"].encode()))
        if "tell" in said:
            self.tell(said["tell"])

    def _take(self, target: str, finding: Finding, *, anyhow: bool = False) -> None:
        key = target, finding.origin
        if key in self.reported:
            return
        if finding.is_small or anyhow:
            self.reported.add(key)
            self.reports[target](finding)
        else:
            self._large[key] = finding

    def _close(self, worker: _Worker) -> None:
        worker.pipe.close()
        status = worker.process.wait()
        self._open.remove(worker)
        self._runs_before += worker.runs
        if status not in {0, 1}:
            how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            self.deaths.append(f"worker {worker.number} ({worker.job.target}) {how}")
            self.progress.tell(f"{self.deaths[-1]}; the others go on")

    def _end(self) -> None:
        """Ask all workers to end, and hear what they still have to say."""
        self._signal(signal.SIGINT)
        before = time.monotonic() + _TO_END
        with suppress(KeyboardInterrupt), selectors.DefaultSelector() as selector:
            for worker in self._open:
                selector.register(worker.pipe, selectors.EVENT_READ, worker)
            while self._open and time.monotonic() < before:
                self._hear(selector)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        for worker in self._open:
            worker.process.wait()
            worker.pipe.close()
            self._runs_before += worker.runs
        self._open.clear()

    def _signal(self, number: int) -> None:
        for worker in self._open:
            with suppress(ProcessLookupError):
                worker.process.send_signal(number)


class Reporting(Progress):
    """What a worker tells to who started it, by the pipe ``descriptor``."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, 0)
        self._due = 0.0

    def is_due(self) -> bool:
        """Whether it is time to tell something."""
        return time.monotonic() >= self._due

    def tell(self, line: str, *, runs: int | None = None) -> None:
        """Say how many cases were tried; a line without that number is for a person."""
        self._due = time.monotonic() + 2 * _LOOKS
        self._say({"tell": line} if runs is None else {"runs": runs})

    def report(self, finding: Finding) -> None:
        """Hand a finding on."""
        self._say({"finding": finding.dump().decode()})

    def is_needed(self) -> bool:
        """Whether who started this process is still there."""
        # Nobody reads any more: the one thing that a pipe to be written to is always told.
        return not self._poll.poll(0)

    def end(self, line: str, runs: int, screen: IO[str]) -> None:  # noqa: ARG002  who started it has a screen
        """Say how many cases were tried in all."""
        self.tell(line, runs=runs)

    def _say(self, document: dict[str, object]) -> None:
        data = json.dumps(document).encode() + b"\n"
        with suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._descriptor, data) :]
