"""One run of the fuzzer: how long it goes on, what it has found, and what others know already."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.fuzz.finding import Finding, origin_text
from harness.fuzz.progress import Progress, status_line
from harness.fuzz.runner import NO_CASE, Failure, Runner, shrink
from harness.fuzz.sharing import SharedCases

Report = Callable[[Finding], None]


class Finished(BaseException):
    """The time is over, or as many cases as were asked for have run."""


class Session:
    """Counts runs, and reports each failure once: those of its own, and those that ``shared`` has of others.

    Units: ``seconds`` of time; None for no end, and so for ``most_runs``.
    Shape: ``is_needed`` says whether anybody still waits.
    """

    def __init__(
        self,
        runner: Runner,
        report: Report,
        progress: Progress,
        shared: SharedCases,
        *,
        seconds: float | None,
        most_runs: int | None = None,
        is_needed: Callable[[], bool] = lambda: True,
    ) -> None:
        self.runs = 0
        self.found: dict[str, int] = {}
        self._runner = runner
        self._target = runner.target
        self._report = report
        self._progress = progress
        self._shared = shared
        self._most_runs = most_runs
        self._seconds = seconds
        self._is_needed = is_needed
        self._reported: set[str] = set()
        self._unsettled: dict[str, Finding] = {}
        self._begun = time.monotonic()

    def run(self, buffer: bytes) -> bytes | None:
        """Run one buffer, and take note of a failure.

        Raises: Finished; KeyboardInterrupt.
        """
        if self._is_over():
            raise Finished
        self.runs += 1
        if self._progress.is_due():
            self._progress.tell(self.status(), runs=self.runs)
        self.look_around()
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
        if self._seconds is not None and self.elapsed >= self._seconds:
            return True
        return not self._is_needed()

    @property
    def elapsed(self) -> float:
        """Seconds since the session began."""
        return time.monotonic() - self._begun

    def look_around(self, *, at_once: bool = False) -> None:
        """Take what others have found since: each case that fails here too is reported, the smallest of its kind."""
        for finding in self._shared.new_findings(at_once=at_once):
            if finding.is_small:
                self._unsettled.pop(finding.origin, None)
                self._try_again(finding)
            elif finding.origin not in self._reported:
                self._unsettled[finding.origin] = finding

    def take_what_is_left(self) -> None:
        """Take, at the end, what others found and did not come to make smaller."""
        self.look_around(at_once=True)
        for finding in self._unsettled.values():
            self._try_again(finding)

    def _try_again(self, finding: Finding) -> None:
        if finding.origin in self._reported:
            return
        try:
            if finding.is_buffer:
                self._runner.run(finding.case)
            else:
                self._target.check(self._target.load(finding.case))
        except Exception as error:  # noqa: BLE001  whatever it is, it is what was looked for
            origin, trace = origin_text(error), _trace(error)
        else:
            # Mended here, or of another version.
            return
        if origin not in self._reported:
            self.found.setdefault(origin, 1)
            shown = f"Another worker found it.\n\n{finding.shown}"
            self._say(replace(finding, origin=origin, trace=trace, shown=shown))

    def _say(self, finding: Finding) -> None:
        self._reported.add(finding.origin)
        self._report(finding)

    def _take(self, error: Exception, buffer: bytes) -> None:
        origin = origin_text(error)
        self.look_around(at_once=origin not in self.found)
        self.found[origin] = self.found.get(origin, 0) + 1
        if self.found[origin] > 1 or origin in self._unsettled:
            return
        claim = self._finding(Failure(self._runner.failed, error), buffer, origin)
        self._shared.keep_finding(claim)
        self._progress.tell(f"{self._target.name}: found something, and make it smaller; Ctrl-C takes it as it is")
        failure = shrink(self._target, buffer, error)
        smallest = self._finding(failure, buffer, origin, is_small=True)
        self._shared.keep_finding(smallest, instead_of=claim)
        self._say(smallest)
        if failure.interrupted:
            raise KeyboardInterrupt

    def _finding(self, failure: Failure, buffer: bytes, origin: str, *, is_small: bool = False) -> Finding:
        trace = _trace(failure.error)
        if failure.case is NO_CASE:
            return Finding(origin, buffer, True, is_small, trace, "No case can be made of the buffer.\n")
        shown = f"The smallest case that was found:\n\n{self._target.show(failure.case)}\n"
        return Finding(origin, self._target.dump(failure.case), False, is_small, trace, shown)

    def status(self) -> str:
        """Say in one line how far it is."""
        return status_line(self._target.name, self.elapsed, self._seconds, self.runs, len(self.found))


def _trace(error: Any) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
