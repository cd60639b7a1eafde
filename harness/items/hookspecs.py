"""The hooks that a conftest.py or another plugin may implement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.cases.case import Case
    from kubeimage.api.backends import Backends


@pytest.hookspec(firstresult=True)
def pytest_kubefile_backends(config: pytest.Config, path: str) -> Backends | None:
    """Return the backends to build the Kubefile at ``path`` with, or None for those that the options ask for.

    They are asked for again where a check builds in another store, and must be new ones each time. A conftest.py is
    asked about the Kubefiles below it.
    """


@pytest.hookspec
def pytest_kubefile_checks(config: pytest.Config) -> Mapping[str, Callable[[Case], None]]:
    """Return more checks by name: functions that take a case and raise a CheckError, or fail an assert.

    Installed packages can register theirs under the entry point group ``kubeimage.checks`` as well.
    """
    raise NotImplementedError
