"""A pytest plugin that notes which lines each test runs, and for how long it runs.

    python -m pytest -n0 -p tests.mutants.machine.covering --covering-into FILE TESTS...

FILE gets JSON: for each test its CPU seconds and, for each module of kubeimage, the lines that it runs.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

FILES, MOST = 5, 60


class Covering(NamedTuple):
    """What a test runs. Units: ``seconds`` of CPU time. Shape: ``lines`` by the path of a module."""

    seconds: float
    lines: dict[str, list[int]]


def read_map(path: Path) -> dict[str, Covering]:
    """Return what this plugin wrote: by the id of a test."""
    return {test: Covering(*of) for test, of in json.loads(path.read_text()).items()}


def covering(known: dict[str, Covering], path: str, lines: range, *, seconds: float = math.inf) -> list[str]:
    """Return the tests that run some of these lines; of what runs at import alone, those of its module, or its room.

    With them go those of the file that mirrors the module: what they run in other processes is in no map.
    The quickest come first, and of each function one before its other rows: a table of fifty rows is one look at the
    line. What does not fit into ``seconds`` beside those before it is left out.
    Units: ``seconds`` of CPU time.
    """
    inside = [(of.seconds, test) for test, of in known.items() if path in of.lines]
    found = [(seconds, test) for seconds, test in inside if not set(lines).isdisjoint(known[test].lines[path])]
    beside = mirrored(path) + "::"
    near = [(of.seconds, test) for test, of in known.items() if test.startswith(beside)]
    functions: dict[str, int] = {}
    ordered = []
    room = [(of.seconds, test) for test, of in known.items() if test.startswith(f"{beside.rpartition('/')[0]}/")]
    for taken, test in sorted({*(found or inside or room), *near}):
        function = test.partition("[")[0]
        functions[function] = functions.get(function, 0) + 1
        # The tenth row of a quick table is worth as much as the first of one that takes ten times as long.
        ordered.append((functions[function] * taken, test, taken))
    chosen: list[str] = []
    for _, test, taken in sorted(ordered):
        if not chosen or taken <= seconds:
            chosen.append(test)
            seconds -= taken
    return chosen


def stages(tests: list[str], path: str) -> tuple[list[str], list[str]]:
    """Return the tests that are tried first, and the rest: to read a hundred files of tests takes seconds.

    First come those of the file that mirrors a module, and those of the few that have the quickest ones.
    """
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    near = {beside := mirrored(path), *files[:FILES]}
    first = [test for test in tests if test.partition("::")[0] in near][:MOST]
    first.sort(key=lambda test: not test.startswith(beside))
    return first, [test for test in tests if test not in set(first)]


def mirrored(path: str) -> str:
    """Return where the unit tests of a module are."""
    folder, _, name = path.rpartition("/")
    return f"tests/{folder}/test_{name}"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says where the map goes."""
    parser.addoption("--covering-into")


def pytest_configure(config: pytest.Config) -> None:
    """Watch, where a map is wanted."""
    if into := config.getoption("--covering-into"):
        config.pluginmanager.register(_Watch(config.rootpath, Path(into)))


class _Watch:
    def __init__(self, root: Path, into: Path) -> None:
        import coverage

        self._root = root
        self._into = into
        self._coverage = coverage.Coverage(data_file=None, source=[str(root / "kubeimage")], config_file=False)
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note what runs from here on as this test's."""
        self._coverage.switch_context(item.nodeid)
        begun = time.process_time()
        try:
            return (yield)
        finally:
            self._seconds[item.nodeid] = time.process_time() - begun
            self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Leave out what fails or is skipped without any mutant."""
        if not report.passed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write the map."""
        self._coverage.stop()
        data = self._coverage.get_data()
        lines: dict[str, dict[str, list[int]]] = {test: {} for test in self._seconds if test not in self._failed}
        for file in data.measured_files():
            path = Path(file).relative_to(self._root).as_posix()
            for line, tests in data.contexts_by_lineno(file).items():
                for test in lines.keys() & set(tests):
                    lines[test].setdefault(path, []).append(line)
        self._into.write_text(json.dumps({test: (self._seconds[test], lines[test]) for test in lines}))
