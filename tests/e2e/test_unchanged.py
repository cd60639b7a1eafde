"""Building again what has not changed: what is looked at, and what is not read."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.program import Program, write

FILES = {f"conf/d{folder}/f{number}": f"{folder} {number}\n" for folder in range(5) for number in range(20)}
# Only files whose times lie clearly before a build began are known by their times later on.
SETTLED = 0.1


@pytest.mark.needs("strace")
def test_no_content_of_an_unchanged_context_is_read(kubeimage: Program, tmp_path: Path) -> None:
    context = write(tmp_path / "context", {"Kubefile": "FROM scratch\nCOPY conf etc\n", **FILES})
    time.sleep(SETTLED)
    first = kubeimage.build("app:v1", context)

    log = tmp_path / "calls"
    again = replace(kubeimage, prefix=("strace", "-f", "-y", "-e", "trace=openat,open", "-o", str(log)))
    second = again.build("app:v1", context)

    opened = re.findall(rf'"{re.escape(str(context))}/?([^"]*)"', log.read_text())
    assert second == first
    assert "Kubefile" in opened
    assert [path for path in opened if path in FILES] == []


def test_an_edit_in_the_same_tick_and_of_the_same_size_is_seen(kubeimage: Program, tmp_path: Path) -> None:
    context = write(tmp_path / "context", {"Kubefile": "FROM scratch\nCOPY conf etc\n", **FILES})
    kubeimage.build("app:v1", context)
    (context / "conf/d1/f1").write_text("X X\n")

    kubeimage.build("app:v2", context)

    assert (kubeimage.export("app:v2") / "etc/conf/d1/f1").read_text() == "X X\n"
