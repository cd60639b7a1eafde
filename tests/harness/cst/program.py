"""The program container-structure-test itself, which says what the verdicts are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.conftest import REQUIRE_ALL

NAME = "container-structure-test"
PATIENCE = 300

Verdict = tuple[str, bool]
"""A test's name in reports, and whether it passes."""


def find_program() -> str:
    """Return the program's path, beside this interpreter or on PATH; skip where there is none."""
    beside = os.path.join(os.path.dirname(sys.executable), NAME)
    found = beside if os.access(beside, os.X_OK) else shutil.which(NAME)
    if found is None:
        reason = f"needs {NAME}, which this machine does not have: pip install {NAME}"
        if REQUIRE_ALL:
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def verdicts(
    image: str, files: Sequence[Path], driver: str, environment: Mapping[str, str] | None = None
) -> list[Verdict]:
    """Return what the program says of an image by these files."""
    chosen = [word for file in files for word in ("--config", str(file))]
    argv = [find_program(), "test", "--driver", driver, "--image", image, "--output", "json", *chosen]
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TMPDIR": str(files[0].parent), **(environment or {})}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE, env=env)
    assert done.stdout, done.stderr
    return [(one["Name"], one["Pass"]) for one in json.loads(done.stdout)["Results"]]
