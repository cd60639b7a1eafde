import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers import started_by


def test_a_program_that_no_mark_names_is_not_started() -> None:
    with pytest.raises(
        pytest.fail.Exception, match=r"this test starts skopeo: it needs @pytest.mark.needs\('skopeo'\)"
    ):
        subprocess.run(["/nowhere/skopeo", "--version"], check=True)


@pytest.mark.needs("openssl")
def test_one_that_a_mark_names_is() -> None:
    assert subprocess.run(["openssl", "version"], check=True, capture_output=True).stdout


def test_nor_does_a_stand_in_need_one(tmp_path: Path) -> None:
    stand_in = tmp_path / "docker"
    stand_in.write_text("#!/bin/sh\necho stands in\n")
    stand_in.chmod(0o755)

    ended = subprocess.run(["docker"], check=True, capture_output=True, env={"PATH": str(tmp_path)})

    assert ended.stdout == b"stands in\n"


def test_others_need_no_mark() -> None:
    assert subprocess.run([sys.executable, "-c", ""], check=True).returncode == 0


@pytest.mark.parametrize(
    ("script", "programs"),
    [
        ("openssl genpkey -out a\nA=1 B=2 skopeo copy a b", ["openssl", "skopeo"]),
        ("kubeimage save a docker-archive:b\necho openssl", []),
        ("if command -v buildah; then\n  buildah build .\nfi", []),
    ],
)
def test_the_programs_of_a_script_are_those_that_its_lines_begin_with(script: str, programs: list[str]) -> None:
    assert started_by(script) == programs
