"""A Kubefile as pytest collects it: one item a check, and failures that read like a compiler's messages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from harness.asking.subjects import MARKER, Subject
from harness.cases.case import Case
from harness.checks import Check
from harness.items.catalogue import checks_of
from harness.items.failures import save_failure
from harness.items.report import cause_of, failure_of, failure_repr, report_text
from harness.run import KNOWN_CHECKS, NAMED, SETTINGS, case_of
from kubeimage.errors import Diagnostic


class KubefileFile(pytest.File):
    """A Kubefile.

    Shape: its node id is its path from the root of the run, with ``..`` where it lies outside: two Kubefiles never
           share one, and pytest takes it as a test path again.
    """

    @classmethod
    def at(cls, parent: pytest.Collector, path: Path) -> Self:
        """Make the collector of the Kubefile at ``path``."""
        node_id = os.path.relpath(path, parent.config.rootpath)
        collector = cls.from_parent(parent, path=path, nodeid=node_id.replace(os.sep, "/"))
        # Its items have the marks of what they are in.
        collector.add_marker(getattr(pytest.mark, MARKER))
        return collector

    def collect(self) -> Iterator[CheckItem]:
        """Yield an item for each check."""
        checks = checks_of(self.ihook, self.config)
        self.config.stash[KNOWN_CHECKS].update(dict.fromkeys(checks))
        chosen = self.config.stash[NAMED].get(str(self.path)) or checks
        for name, check in checks.items():
            if name in chosen and name not in self.config.stash[SETTINGS].skip:
                yield CheckItem.from_parent(self, name=name, check=check)

    @property
    def case(self) -> Case:
        """What the checks are given."""
        return case_of(self.config, Subject(str(self.path)))


class CheckItem(pytest.Item):
    """A check of a Kubefile."""

    parent: KubefileFile

    def __init__(self, *, check: Check, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check
        self.warned: list[Diagnostic] = []
        self.line = 1

    @property
    def case(self) -> Case:
        """What the check is given."""
        return self.parent.case

    def runtest(self) -> None:
        """Check; where another check is to say what is wrong, skip."""
        from kubeimage.errors import KubeimageError
        from kubeimage.report.locale import locale_error

        try:
            case = self.case
        except OSError as error:
            pytest.fail(f"pytest's temporary folder cannot be used: {error}", pytrace=False)
        self.line = 1
        before = len(case.warned)
        try:
            self.check(case)
        except KubeimageError as error:
            location = error.diagnostics[0].location
            if location is not None and location.file == case.path:
                self.line = location.line
            if reporter := self._reporter(error):
                raise pytest.skip.Exception(f"{reporter} says why", _use_item_location=True) from error
            raise failure_of(error) from error
        except UnicodeEncodeError as error:
            known = locale_error(error) or error
            raise failure_of(known) from known
        finally:
            self.warned = case.warned[before:]
            # JUnit's own fields for these are gone from the format that pytest writes by default.
            self.user_properties += [("file", self.parent.nodeid), ("line", self.line)]
            self._describe_build()

    def _reporter(self, error: Exception) -> str | None:
        """Return the node id of the item that reports ``error``, None if this one does."""
        culprit = self.case.blame(error)
        if culprit is None or culprit == self.name:
            return None
        siblings = [item for item in self.session.items if item.parent is self.parent]
        if any(item.name == culprit for item in siblings):
            return f"{self.parent.nodeid}::{culprit}"
        first = self.case.workshop.first_to_report(f"{self.parent.nodeid}::{culprit}", self.nodeid)
        return None if first == self.nodeid else first

    def _describe_build(self) -> None:
        if self.name == "build" and (built := self.case.built) is not None:
            self.user_properties.extend(built.items())

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what is wrong as a compiler does; with ``--full-trace``, as Python does."""
        if self.config.getoption("fulltrace") or isinstance(excinfo.value, pytest.fail.Exception):
            return super().repr_failure(excinfo, style)
        error = cause_of(excinfo.value)
        text = report_text(error, self.case)
        if text is None:
            # A bug in a check: what pytest and this class do around it helps nobody.
            excinfo.traceback = excinfo.traceback.cut(path=__file__)[1:] or excinfo.traceback
            return super().repr_failure(excinfo, style)
        if folder := self.config.stash[SETTINGS].save_failures:
            text += f"\n{save_failure(folder, self.nodeid, self.case, text)}"
        return failure_repr(text, error, self.path)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Return the Kubefile's path, the line that a reader starts at, and the heading of a failure."""
        return self.path, self.line - 1, f"{self.parent.nodeid} :: {self.name}"
