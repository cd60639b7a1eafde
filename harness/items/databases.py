"""Hypothesis's tests of one run on a database that others share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from harness.asking.databases import DatabaseSettings
from harness.databases.shared import MissingExtraError, open_databases

_PROFILE = "shared-database"
_OUTPUT = "kubeimage_databases"


class SharedDatabase:
    """Gives every test of the run the database, and says once what does not answer."""

    def __init__(self, config: pytest.Config, asked: DatabaseSettings) -> None:
        self._config = config
        self._asked = asked
        self._told: dict[str, None] = {}
        self._shown: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Open the database, once Hypothesis knows its profile.

        Raises: pytest.UsageError.
        """
        try:
            database = open_databases(
                self._asked.places, self._tell, local=settings().database, read_only=self._asked.read_only
            )
        except (MissingExtraError, OSError) as error:
            why = f"{error.filename}: it cannot be written to" if isinstance(error, OSError) else error
            raise pytest.UsageError(f"--database: {why}") from error
        # A profile that draws the same examples each time has no database: what is asked for goes before.
        settings.register_profile(_PROFILE, settings(), database=database, derandomize=False)
        settings.load_profile(_PROFILE)

    def _tell(self, line: str) -> None:
        self._told[line] = None

    def pytest_report_header(self) -> list[str]:
        """Say which databases there are, and which of them are away."""
        places = ", ".join(one.shown for one in self._asked.places)
        return [f"example database: {places}{' (read only)' if self._asked.read_only else ''}", *self._news()]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker of pytest-xdist was told."""
        self._told.update(dict.fromkeys(getattr(node, "workeroutput", {}).get(_OUTPUT, ())))

    def pytest_sessionfinish(self) -> None:
        """Hand on what this worker was told."""
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[_OUTPUT] = list(self._told)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what stopped answering meanwhile."""
        for line in self._news():
            terminalreporter.write_line(line)

    def _news(self) -> Iterator[str]:
        for line in self._told:
            if line not in self._shown:
                self._shown.add(line)
                yield line
