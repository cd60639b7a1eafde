"""What the README promises in its first lines."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.program import REPOSITORY, copy_projects

FIRST_COMMAND = re.compile(r"^```sh\n(?P<command>python3 -m venv .*)\n```$", re.MULTILINE)


def test_the_first_command_builds_checks_and_prints(tmp_path: Path) -> None:
    found = FIRST_COMMAND.search((REPOSITORY / "README.md").read_text())
    assert found is not None
    # All but its first two steps: making the venv and installing need the network.
    command = " && ".join(found["command"].split(" && ")[2:])
    copy_projects(tmp_path / "fixtures")
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("kubeimage", "pytest"):
        options = "" if name == "kubeimage" else " -p harness.plugin"
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name}{options} "$@"\n')
        (programs / name).chmod(0o755)

    ended = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "empty"), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"\b\d+ passed", ended.stdout)
    assert "sealer-io/dashboard:v1" in ended.stdout
