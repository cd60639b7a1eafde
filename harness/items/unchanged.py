"""Leaving out the Kubefiles of which nothing has changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from harness.asking.arguments import kubefiles_among
from harness.asking.repository import Repositories
from harness.run import SETTINGS, case_of

if TYPE_CHECKING:
    from harness.asking.subjects import Subject
    from harness.cases.changed import ChangeFinder

_FIXTURE = "_kubefile_case"
_OF_A_WORKER = "kubefile_unchanged"


class OnlyChanged:
    """A plugin that deselects what is about Kubefiles that have not changed, and says so at the end."""

    def __init__(self, since: str | None) -> None:
        self._since = since
        self._repositories = Repositories(since)
        # The Kubefiles that were looked at, those left out, and the number of tests left out.
        self._counts = [0, 0, 0]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Ask git once before xdist starts its workers, where an error is told well."""
        config = session.config
        if hasattr(config, "workerinput"):
            return
        for path in (*config.stash[SETTINGS].kubefiles, *kubefiles_among(config)):
            self._repositories.need(os.path.dirname(path))

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out the checks of Kubefiles that have not changed, and tests of them in files that have not either."""
        from harness.cases.changed import ChangeFinder

        finder = ChangeFinder(self._repositories)
        verdicts: dict[Subject, bool] = {}
        kept: list[pytest.Item] = []
        left_out: list[pytest.Item] = []
        for item in items:
            subject = _subject_of(item)
            if subject is not None and subject not in verdicts:
                verdicts[subject] = finder.has_changed(case_of(config, subject))
            runs = subject is None or verdicts[subject] or _is_new(item, finder)
            (kept if runs else left_out).append(item)
        self._counts = [len(verdicts), list(verdicts.values()).count(False), len(left_out)]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = kept

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Count a run of which nothing is left as a good one: a change of other files is no failure."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_OF_A_WORKER] = self._counts
        elif self._counts[2] and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take from an xdist worker what it has left out; all of them leave out the same."""
        self._counts = getattr(node, "workeroutput", {}).get(_OF_A_WORKER, self._counts)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say in one line what was left out."""
        for line in self._lines():
            terminalreporter.line(line)

    def _lines(self) -> Iterator[str]:
        seen, unchanged, tests = self._counts
        if unchanged:
            since = self._since or "the last commit"
            yield f"kubeimage: {unchanged} of {seen} Kubefiles left out, unchanged since {since} (deselected: {tests})"


def _subject_of(item: pytest.Item) -> Subject | None:
    """Return what a check or a test is about; None where that is no Kubefile."""
    if (case := getattr(item, "case", None)) is not None and hasattr(item, "check"):
        subject: Subject = case.subject
        return subject
    call = getattr(item, "callspec", None)
    return call.params.get(_FIXTURE) if call is not None else None


def _is_new(item: pytest.Item, finder: ChangeFinder) -> bool:
    """Whether a test stands in a file that has changed itself."""
    return not hasattr(item, "check") and finder.differs(str(item.path))
