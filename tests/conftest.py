"""The marker ``needs``: end-to-end tests with real programs. And signals as a terminal has them."""

import os
import shutil
import signal

import pytest

REQUIRE_ALL = os.environ.get("KUBEIMAGE_REQUIRE_ALL") == "1"

# Whoever runs the tests in the background may ignore these, and what a test starts would inherit that.
for _number, _default in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)


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
