"""Which checks a run has: the plugin's own, those of installed packages, and those of conftest files.

A name that no check has is a mistake to be told before anything is built, in one line, by one process.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from harness.asking.kubefiles import is_kubefile_name
from harness.asking.options import option_of
from harness.checks import CHECKS, OF_A_SETTING, Check, catalogue
from harness.run import SETTINGS

ENTRY_POINTS = "kubeimage.checks"


def checks_of(hook: Any, config: pytest.Config) -> Mapping[str, Check]:
    """Return every check by name; ``hook`` calls the conftest files that have a say.

    Raises: pytest.UsageError for one that cannot be loaded, or has a name that is taken.
    """
    found: dict[str, Check] = {**catalogue(config.stash[SETTINGS]), **_installed_checks()}
    for more in reversed(hook.pytest_kubefile_checks(config=config)):
        for name, check in more.items():
            found[name] = _callable(name, check, "the hook pytest_kubefile_checks")
    return found


@cache
def _installed_checks() -> Mapping[str, Check]:
    found: dict[str, Check] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        # So that a bare assert tells what it compared, as it does in a test.
        pytest.register_assert_rewrite(entry.module)
        try:
            check = entry.load()
        except (ImportError, AttributeError) as error:
            raise pytest.UsageError(f"the check {entry.name!r} ({entry.value}) cannot be loaded: {error}") from error
        if entry.name in {**CHECKS, **OF_A_SETTING, **found}:
            raise pytest.UsageError(f"the check {entry.name!r} ({entry.value}) has a name that is taken")
        found[entry.name] = _callable(entry.name, check, entry.value)
    return found


def _callable(name: str, check: Any, where: str) -> Check:
    if not callable(check):
        raise pytest.UsageError(f"the check {name!r} of {where} is no function that takes a case, but {check!r}")
    function: Check = check
    return function


def refuse_unknown(config: pytest.Config, known: Iterable[str] | None = None) -> None:
    """Refuse to run or to leave out what is no check; ``known`` are the names of the checks, once all are known.

    Without ``known``, before collection: then a conftest file that pytest has not read yet may have more checks.
    Raises: pytest.UsageError that names the checks there are.
    """
    if known is None:
        _installed_checks()
        if any(_unread_conftests(config)):
            return
        known = checks_of(config.hook, config)
    names = [*known]
    for name in sorted(config.stash[SETTINGS].skip - {*names, *OF_A_SETTING}):
        raise pytest.UsageError(f"--kubefile-skip={name}: {_no_such_check(name, names)}")
    for argument in config.args:
        path, colons, name = argument.partition("::")
        if colons and name not in names and is_kubefile_name(os.path.basename(path)):
            raise pytest.UsageError(f"{argument}: {_no_such_check(name, names)}")


def _no_such_check(name: str, names: list[str]) -> str:
    if name in OF_A_SETTING:
        return f"there is such a check where {option_of(OF_A_SETTING[name][0])} sets what it holds to"
    near = difflib.get_close_matches(name, names, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    return f"there is no such check{meant}, but {', '.join(names)}"


def _unread_conftests(config: pytest.Config) -> Iterator[Path]:
    """Yield the conftest files above Kubefiles that were named, but for those that pytest has read."""
    read = {getattr(plugin, "__file__", None) for plugin in config.pluginmanager.get_plugins()}
    paths = [path for argument in config.args if is_kubefile_name(os.path.basename(path := argument.split("::")[0]))]
    folders = {
        folder for path in paths for folder in Path(os.path.normpath(config.invocation_params.dir / path)).parents
    }
    for folder in folders:
        conftest = folder / "conftest.py"
        if folder.is_relative_to(config.rootpath) and conftest.exists() and str(conftest) not in read:
            yield conftest
