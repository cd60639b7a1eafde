"""What holds for every test here: it ends, and its failure can be read."""

import os
from pathlib import Path

import pytest

from tests.conftest import MOST_CHARACTERS, MOST_LINES, shortened

ROOT = Path(__file__).parent.parent
HANGING = "import os\ndef test_it(tmp_path):\n    os.mkfifo(tmp_path / 'f')\n    open(tmp_path / 'f').read()\n"


def test_every_test_has_a_limit(request: pytest.FixtureRequest) -> None:
    marker = request.node.get_closest_marker("timeout")

    assert float(marker.args[0] if marker else request.config.getini("timeout")) > 0


def test_a_test_that_waits_for_nobody_ends(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makeconftest("from tests.conftest import pytest_timeout_cancel_timer, pytest_timeout_set_timer\n")
    pytester.makepyfile(HANGING)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    ended = pytester.runpytest_subprocess("-n0", "--timeout=0.5", "--timeout-method=thread", timeout=60)

    assert ended.ret != 0
    assert "open(tmp_path / 'f').read()" in ended.stderr.str() + ended.stdout.str()


def test_a_failed_assert_on_megabytes_is_short(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest("from tests.conftest import pytest_assertrepr_compare\n")
    pytester.makepyfile(
        f"DATA = {os.urandom(8)!r} * 5_000\ndef test_it(): assert [('a', DATA)] == [('a', DATA + b'.')]\n"
    )

    ended = pytester.runpytest_subprocess("-n0")

    ended.assert_outcomes(failed=1)
    assert 1_000 < len(ended.stdout.str()) < 20_000


def test_short_explanations_are_left_alone() -> None:
    lines = ["x" * MOST_CHARACTERS] * MOST_LINES

    assert shortened(lines) == lines
    assert shortened([*lines, "y"]) == [*lines, "… (1 lines more)"]
    assert shortened(["x" * MOST_CHARACTERS + "y"]) == ["x" * MOST_CHARACTERS + "… (cut)"]
