"""What a run has found in Kubefiles, gathered from all its processes, and written as SARIF when it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from harness.items.report import diagnostics_of
from kubeimage.errors import Diagnostic, Location

_ATTRIBUTE = "kubefile_findings"


def attach(report: pytest.TestReport, item: pytest.Item, error: BaseException | None) -> None:
    """Put onto ``report`` what ``item`` warned of, and what it failed with."""
    found = list(getattr(item, "warned", ()))
    case = getattr(item, "case", None)
    if report.failed and error is not None and case is not None:
        found += diagnostics_of(error, case) or ()
    if found:
        # Reports travel from xdist's workers as JSON; so do attributes of theirs.
        setattr(report, _ATTRIBUTE, [_to_json(one) for one in found])


class SarifLog:
    """A plugin that writes what was found to a file."""

    def __init__(self, path: str, root: str) -> None:
        self._path = path
        self._root = root
        self._found: dict[Diagnostic, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a check has found; what several of them tell is one finding."""
        self._found.update(dict.fromkeys(_from_json(getattr(report, _ATTRIBUTE, ()))))

    def pytest_sessionfinish(self) -> None:
        """Write the log, whether something was found or not."""
        from kubeimage.api.linting import meanings
        from kubeimage.disk.wholefile import whole_file
        from kubeimage.report.sarif import sarif_log

        found = sorted(self._found, key=lambda one: (one.location or Location("", 0))[:3])
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        with whole_file(self._path) as file:
            file.write(json.dumps(sarif_log(found, self._root, meanings()), indent=2).encode() + b"\n")


def _to_json(one: Diagnostic) -> dict[str, Any]:
    return {**one._asdict(), "location": list(one.location) if one.location is not None else None}


def _from_json(values: Iterable[dict[str, Any]]) -> Iterator[Diagnostic]:
    for value in values:
        place = value["location"]
        yield Diagnostic(**{**value, "location": Location(*place) if place is not None else None})
