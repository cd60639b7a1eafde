"""The HTML report of a run: a page for each Kubefile, gathered from all processes, and written when the run ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kubeimage.errors import KubeimageError

if TYPE_CHECKING:
    from harness.cases.case import Case
    from kubeimage.pages.page import Check, ImagePage, LayerRow

_ATTRIBUTE = "kubefile_page"


def attach_page(report: pytest.TestReport, case: Case) -> None:
    """Put the page of the image that was built onto ``report``, as JSON, in which reports travel from workers."""
    from kubeimage.api.reporting import report_image

    base = case.base
    try:
        with case.place.open() as backends:
            page = report_image(case.image.image, backends, against=base)
    except KubeimageError:
        # The checks say what is wrong; a report that could not be made of it is no other failure.
        return
    name = case.plan.base_name if base is not None else ""
    setattr(report, _ATTRIBUTE, replace(page, against=name, checks=(), layers=tuple(_layers(page, case))).to_json())


def _layers(page: ImagePage, case: Case) -> Iterator[LayerRow]:
    """Say of each layer of this build whether the cache had it, or why not, and how long it took."""
    steps = {str(step.layer.diff_id): step for step in case.result.steps if step.layer is not None}
    for row in page.layers:
        step = steps.get(row.digest)
        if step is None:
            yield row
        else:
            how = "cached" if step.cached else step.why_missed or "built"
            yield replace(row, how=how, seconds=None if step.cached else step.seconds)


class PageLog:
    """A plugin that writes the report to a file."""

    def __init__(self, path: str) -> None:
        from kubeimage.pages.render import check_renderer

        check_renderer()
        self._path = path
        self._checks: dict[str, dict[str, Check]] = {}
        self._pages: dict[str, ImagePage] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a check's verdict, and the page of what was built."""
        from kubeimage.pages.page import Check, ImagePage, Verdict

        kubefile, _, name = report.nodeid.rpartition("::")
        warned = getattr(report, "kubefile_warned", None)
        if warned is None:
            return
        verdicts: dict[str, Verdict] = {"passed": "passed", "failed": "failed", "skipped": "skipped"}
        checks = self._checks.setdefault(kubefile, {})
        text = "\n".join(warned) if report.passed else _text_of(report)
        checks[name] = Check(name, verdicts[report.outcome], text, report.duration)
        if (page := getattr(report, _ATTRIBUTE, None)) is not None:
            self._pages[kubefile] = ImagePage.from_json(page)

    def pytest_sessionfinish(self) -> None:
        """Write the report, whether something was checked or not."""
        from kubeimage.api.reporting import write_report
        from kubeimage.pages.page import ImagePage

        pages = [
            replace(self._pages.get(name, ImagePage(name)), title=name, checks=tuple(checks.values()))
            for name, checks in sorted(self._checks.items())
        ]
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        # What failed is what people look for.
        pages.sort(key=lambda page: page.is_good)
        write_report(pages, self._path, title=pages[0].title if len(pages) == 1 else "Kubefiles")


def _text_of(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return report.longreprtext
