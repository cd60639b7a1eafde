"""The marker ``needs``: end-to-end tests with real programs."""

import os
import shutil

import pytest

REQUIRE_ALL = os.environ.get("KUBEIMAGE_REQUIRE_ALL") == "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs are missing; fail it where all of them are required."""
    wanted = [tool for mark in item.iter_markers("needs") for tool in mark.args]
    missing = [
        tool for tool in wanted if shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None
    ]
    if missing:
        reason = f"needs {', '.join(missing)}, which this machine does not have"
        if REQUIRE_ALL:
            pytest.fail(reason)
        pytest.skip(reason)
