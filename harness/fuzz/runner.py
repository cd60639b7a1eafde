"""Runs buffers as cases of a target, and finds the smallest case for a buffer that fails."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import InMemoryExampleDatabase

from harness.fuzz.target import Target

LONGEST = 8 << 10
"""Bytes of a buffer that can say something."""

_NO_CASE: Any = object()

Origin = tuple[type[BaseException], str, int]
"""The type of an exception, and the line that raised it."""


class Failure(NamedTuple):
    """A case that fails, as small as it could be made, and how."""

    case: Any
    error: Exception
    origin: Origin


class Runner:
    """Runs the cases of a target. Shape: ``watch`` is entered around each check, not while a case is made."""

    def __init__(self, target: Target, watch: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self.target = target
        self._watch = watch
        # Hypothesis notes in it what a failing buffer says, and shrinks that when it is run as a test.
        self._noted = InMemoryExampleDatabase()
        self._failed = _NO_CASE
        self._test = self._make_test()
        self._fuzz: Callable[[bytes], bytes | None] = self._test.hypothesis.fuzz_one_input

    def _make_test(self) -> Any:
        @settings(
            database=self._noted,
            phases=(Phase.reuse, Phase.shrink),
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        )
        @given(self.target.cases)
        def test(case: Any) -> None:
            try:
                with self._watch():
                    self.target.check(case)
            except Exception:
                self._failed = case
                raise

        return test

    def run(self, buffer: bytes) -> bytes | None:
        """Check the case that a buffer says, and give as much of it as says it; None where it says none.

        What a buffer lacks is read as zeros, which are every strategy's simplest choice.
        Raises: whatever the check raises.
        """
        read = self._fuzz(buffer.ljust(LONGEST, b"\0"))
        return None if read is None else read.rstrip(b"\0")

    def shrink(self, error: Exception) -> Failure:
        """Give the smallest case that fails as the last one did that ``run`` raised ``error`` for.

        A person's interrupt ends the search for a smaller one.
        """
        first, watch = self._failed, self._watch
        self._watch = nullcontext
        # Hypothesis raises what the smallest case does.
        with suppress(Exception, KeyboardInterrupt):
            self._test()
        self._watch = watch
        case, self._failed = self._failed, _NO_CASE
        return self._failure_of(case) or self._failure_of(first) or Failure(first, error, origin_of(error))

    def _failure_of(self, case: Any) -> Failure | None:
        """Run a case alone, without Hypothesis."""
        try:
            self.target.check(case)
        except Exception as error:  # noqa: BLE001  whatever it is, it is what was found
            return Failure(case, error, origin_of(error))
        return None


def origin_of(error: BaseException) -> Origin:
    """Tell failures apart."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return type(error), frame.filename, frame.lineno or 0
