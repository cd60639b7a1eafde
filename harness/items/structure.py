"""Tests of container-structure-test's as pytest collects them: ``REF::FILE::File Content Test: NAME``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from harness.asking.images import IMAGE_MARKER, ImageSubject
from harness.cases.ocicase import ImageCase
from harness.checks.failed import CheckFailedError
from harness.cst.commands import BadEnvironmentError, faults_of_results, steps_of, this_machine, why_unavailable
from harness.cst.judge import judge, variables_of
from harness.cst.nodes import MistakesError
from harness.cst.re2 import UntranslatableError
from harness.cst.spec import CommandTest, Spec, Test, name_of, read_spec
from harness.cst.subject import OpenedSubject
from harness.items.report import cause_of, failure_of, failure_repr
from harness.run import IMAGE_SETTINGS, opened_images, shown_path
from kubeimage.errors import KubeimageError, Location
from kubeimage.report import format_error

_PATIENCE = 600


def read_specs(config: pytest.Config) -> list[Spec]:
    """Read the files of ``--cst``.

    Raises: pytest.UsageError with all that is wrong in them, or where there is no image to test.
    """
    settings = config.stash[IMAGE_SETTINGS]
    specs, wrong = [], []
    for path in settings.cst:
        shown = shown_path(config, path)
        try:
            with open(path, "rb") as file:
                spec = read_spec(path, file.read())
        except OSError as error:
            wrong.append(f"{shown}: it cannot be read: {error.strerror}")
        except MistakesError as error:
            wrong += [f"{shown}{f':{one.line}' if one.line else ''}: {one.message}" for one in error.mistakes]
        else:
            specs.append(spec)
            wrong += [] if spec.tests else [f"{shown}: it has no tests"]
    if wrong:
        raise pytest.UsageError(*(f"--cst: {one}" for one in wrong))
    return specs


def structure_items(session: pytest.Session, names: list[str]) -> Iterator[pytest.Item]:
    """Yield the tests of the run's files for each image.

    Raises: pytest.UsageError.
    """
    for name in names:
        for spec in read_specs(session.config):
            label = shown_path(session.config, spec.path)
            collector = StructureCollector.from_parent(
                session, name=label, nodeid=f"{name}::{label}", about=name, spec=spec
            )
            yield from session.genitems(collector)


class StructureCollector(pytest.Collector):
    """A file of tests, for one image."""

    def __init__(self, *, about: str, spec: Spec, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.about = about
        self.spec = spec

    def collect(self) -> Iterator[StructureItem]:
        """Yield an item for each test."""
        for test in self.spec.tests:
            yield StructureItem.from_parent(self, name=name_of(test) or test.kind, test=test)

    @property
    def case(self) -> ImageCase:
        """The image."""
        platform = self.config.stash[IMAGE_SETTINGS].platform
        return opened_images(self.config).case(ImageSubject(self.about, platform))


class StructureItem(pytest.Item):
    """One test of a file. Its name is that which the program gives it in JUnit's reports."""

    parent: StructureCollector

    def __init__(self, *, test: Test, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.test = test
        self.add_marker(getattr(pytest.mark, IMAGE_MARKER))

    def runtest(self) -> None:
        """Judge the image."""
        try:
            found = self._judged()
            if found:
                raise self._failed(found)
        except KubeimageError as error:
            raise failure_of(error) from error

    def _judged(self) -> list[str]:
        subject = OpenedSubject(self.parent.case.opened)
        try:
            return judge(self.test, self.parent.spec, subject, self._run)
        except UntranslatableError as error:
            return [f"{error}, so that nobody can judge here"]

    def _failed(self, found: list[str]) -> CheckFailedError:
        spec, line = self.parent.spec, self.test.line
        place = Location(shown_path(self.config, spec.path), line) if line is not None else None
        return CheckFailedError(f"{self.parent.about} does not pass {self.name!r}", details=found, location=place)

    def _run(self, test: CommandTest, spec: Spec) -> Iterator[str]:
        reason = why_unavailable(spec.options)
        if reason is not None:
            raise pytest.skip.Exception(reason, _use_item_location=True)
        case = self.parent.case
        network = self.config.stash[IMAGE_SETTINGS].cst_network
        known = variables_of(OpenedSubject(case.opened))
        try:
            steps = steps_of(test, spec, known, this_machine(), network=network, timeout=_PATIENCE)
        except BadEnvironmentError as error:
            yield str(error)
            return
        yield from faults_of_results(test, case.image.run_all(steps))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what is wrong as a compiler does; with ``--full-trace``, as Python does."""
        error = cause_of(excinfo.value)
        if self.config.getoption("fulltrace") or not isinstance(error, KubeimageError):
            return super().repr_failure(excinfo, style)
        first, *others = format_error(error).splitlines()
        details = [f"  {one}" for one in error.details] if isinstance(error, CheckFailedError) else []
        return failure_repr("\n".join((first, *details, *others)), error, self.path)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Return the test's place, and the heading of a failure."""
        line = (self.test.line or 1) - 1
        return self.parent.spec.path, line, f"{self.parent.nodeid} :: {self.name}"
