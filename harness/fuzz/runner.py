"""Runs buffers as cases of a target, and finds the smallest case for a buffer that fails."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import InMemoryExampleDatabase

from harness.fuzz.buffers import read_bytes_at_once
from harness.fuzz.target import Target

LONGEST = 8 << 10
"""Bytes of a buffer that can say something."""

NO_CASE: Any = object()

Origin = tuple[type[BaseException], str, int]
"""The type of an exception, and the line that raised it."""


class Failure(NamedTuple):
    """A case that fails, as small as it could be made, and how.

    Shape: ``case`` is `NO_CASE` where making one is what failed. ``interrupted`` tells that a person ended the search
           for a smaller one.
    """

    case: Any
    error: Exception
    interrupted: bool = False


class Runner:
    """Runs the cases of a target.

    Shape: ``watch`` is entered around each check, not while a case is made. With ``only``, what fails in any other way
           passes.
    """

    def __init__(
        self,
        target: Target,
        watch: Callable[[], AbstractContextManager[None]] = nullcontext,
        only: Origin | None = None,
    ) -> None:
        self.target = target
        self.failed: Any = NO_CASE
        self._watch = watch
        self._only = only
        self._test = self._make_test()
        read_bytes_at_once()
        self._fuzz: Callable[[bytes], bytes | None] = self._test.hypothesis.fuzz_one_input

    def _make_test(self) -> Any:
        @settings(
            # What fails is noted here by fuzz_one_input, and made smaller when the test is run.
            database=InMemoryExampleDatabase(),
            phases=(Phase.reuse, Phase.shrink),
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        )
        @given(self.target.cases)
        def test(case: Any) -> None:
            self._check(case)

        return test

    def _check(self, case: Any) -> None:
        try:
            with self._watch():
                self.target.check(case)
        except Exception as error:
            if self._only in {None, origin_of(error)}:
                self.failed = case
                raise

    def run(self, buffer: bytes) -> bytes | None:
        """Check the case that a buffer says, and give as much of it as says it; None where it says none.

        What a buffer lacks is read as zeros, which are every strategy's simplest choice.
        Raises: whatever the check raises.
        """
        self.failed = NO_CASE
        read = self._fuzz(buffer.ljust(LONGEST, b"\0"))
        return None if read is None else read.rstrip(b"\0")

    def run_as_test(self) -> None:
        """Run what has failed again, and smaller cases; the smallest is the last that ``failed``.

        Raises: whatever the smallest case does.
        """
        self._test()


def shrink(target: Target, buffer: bytes, error: Exception) -> Failure:
    """Return the smallest case that fails as the one of ``buffer`` did, with ``error``."""
    runner, interrupted = Runner(target, only=origin_of(error)), False
    try:
        with suppress(Exception):
            runner.run(buffer)
        runner.run_as_test()
    except Exception as last:  # noqa: BLE001  it is what was found, on a smaller case
        error = last
    except KeyboardInterrupt:
        interrupted = True
    with suppress(AttributeError):
        # What Hypothesis says of the case is not how it is written here.
        error.__notes__.clear()
    return Failure(runner.failed, error, interrupted)


def origin_of(error: BaseException) -> Origin:
    """Distinguish failures."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return type(error), frame.filename, frame.lineno or 0
