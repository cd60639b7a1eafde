"""One run of the fuzzer: how long it goes on, what it has found, and what people see of that."""

from __future__ import annotations

import time
import traceback

import click

from harness.fuzz.corpus import Corpus
from harness.fuzz.progress import Progress
from harness.fuzz.runner import NO_CASE, Failure, Origin, Runner, origin_of, shrink


class Finished(BaseException):
    """The time is over, or as many cases as were asked for have run."""


class Session:
    """Counts runs and keeps failures.

    Units: ``seconds`` of time; None for no end, and so for ``most_runs``.
    """

    def __init__(
        self,
        runner: Runner,
        crashes: Corpus,
        progress: Progress,
        *,
        seconds: float | None,
        most_runs: int | None = None,
    ) -> None:
        self.runs = 0
        self.found: dict[Origin, int] = {}
        self._runner = runner
        self._target = runner.target
        self._crashes = crashes
        self._progress = progress
        self._most_runs = most_runs
        self._seconds = seconds
        self._begun = time.monotonic()

    def run(self, buffer: bytes) -> bytes | None:
        """Run one buffer, and take note of a failure.

        Raises: Finished; KeyboardInterrupt.
        """
        if self._is_over():
            raise Finished
        self.runs += 1
        if self._progress.is_due():
            self._progress.tell(self.status())
        try:
            return self._runner.run(buffer)
        except Exception as error:  # noqa: BLE001  whatever it is, it is what was looked for
            found = error
        # Not while it is handled: what fails next would tell of it as well.
        self._take(found, buffer)
        return None

    def _is_over(self) -> bool:
        if self._most_runs is not None and self.runs >= self._most_runs:
            return True
        return self._seconds is not None and self.elapsed >= self._seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the session began."""
        return time.monotonic() - self._begun

    def _take(self, error: Exception, buffer: bytes) -> None:
        origin = origin_of(error)
        self.found[origin] = self.found.get(origin, 0) + 1
        if self.found[origin] == 1:
            self._progress.tell(f"{self._target.name}: found something, and make it smaller; Ctrl-C takes it as it is")
            failure = shrink(self._target, buffer, error)
            click.echo(self._describe(failure, buffer))
            if failure.interrupted:
                raise KeyboardInterrupt

    def _describe(self, failure: Failure, buffer: bytes) -> str:
        trace = "".join(traceback.format_exception(failure.error)).rstrip()
        return f"{trace}\n\n{self._keep(failure, buffer)}\n"

    def _keep(self, failure: Failure, buffer: bytes) -> str:
        """Save a failure, and say what and where; where it cannot be saved, it must be seen all the same."""
        shown = "No case can be made of the buffer.\n"
        try:
            if failure.case is NO_CASE:
                return f"{shown}\nsaved: {self._crashes.keep(buffer)}"
            shown = f"The smallest case that was found:\n\n{self._target.show(failure.case)}\n"
            return f"{shown}\nsaved: {self._crashes.keep_crash(self._target.dump(failure.case))}"
        except OSError as error:
            return f"{shown}\nnot saved: {error}"

    def status(self) -> str:
        """Say in one line how far it is."""
        elapsed = self.elapsed
        of = "" if self._seconds is None else f" of {self._seconds:.0f}"
        rate = self.runs / elapsed if elapsed else 0
        return (
            f"{self._target.name}: {elapsed:.0f}{of} s, {self.runs:,} cases, {rate:,.0f} a second, {self._failures()}"
        )

    def _failures(self) -> str:
        return f"{len(self.found)} found" if self.found else "nothing found"
