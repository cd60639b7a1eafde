"""`pytest --image-build` with real builders: buildah, Docker, and ours."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_containers import Docker, docker  # noqa: F401 - a fixture
from tests.plugins import ALONE

ROOT = Path(__file__).parents[2]
PATIENCE = 300


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "files").mkdir(parents=True)
    for name in "abc":
        (folder / "files" / name).write_text(name)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY files /files/\nENV A=1\n")
    return folder


def judge(context: Path, command: str, **variables: str) -> str:
    """Run pytest on a builder's command, and return what it says."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n0", f"--rootdir={context}"]
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [*argv, f"--image-build={command}"],
        cwd=context,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**known, **ALONE, "PYTHONPATH": str(ROOT), **variables},
    )
    return done.stdout + done.stderr


def test_ours_gives_one_image_whatever_is_varied(context: Path) -> None:
    program = f"{shlex.quote(sys.executable)} -m kubeimage --root store"
    command = f"{program} build -q --no-cache -t a:v1 -f Dockerfile . && {program} save a:v1 -o {{out}}"

    said = judge(context, command, PYTHONDONTWRITEBYTECODE="1")

    assert " 1 passed in" in said, said


@pytest.mark.needs("buildah")
def test_buildah_keeps_the_times_of_the_context_unless_it_is_told(context: Path, tmp_path: Path) -> None:
    storage = f"buildah --root {tmp_path}/$TZ/root --runroot {tmp_path}/$TZ/run --storage-driver vfs"
    build = f"{storage} build -q --isolation chroot --layers=false -t a:v1 OPTIONS . "
    command = f"{build}&& {storage} push -q a:v1 oci-archive:{{out}}"

    plain = judge(context, command.replace("OPTIONS", ""))
    clamped = judge(context, command.replace("OPTIONS", "--timestamp 0"))

    assert "in its mtime" in plain, plain
    assert " 1 passed in" in clamped, clamped


@pytest.mark.needs("dockerd", "docker")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start Docker")
def test_docker_keeps_the_time_of_the_build(context: Path, docker: Docker) -> None:  # noqa: F811
    command = "docker build -q --no-cache -t a:v1 . && docker save a:v1 -o {out}"

    said = judge(context, command, DOCKER_HOST=f"unix://{docker.socket}", DOCKER_BUILDKIT="1")
    if "buildx component is missing" in said:
        # Newer clients build with BuildKit by buildx alone; the builder that is older than both is in all of them.
        said = judge(context, command, DOCKER_HOST=f"unix://{docker.socket}", DOCKER_BUILDKIT="0")

    assert "error[E0900]: two builds gave two images" in said, said
    assert "in its mtime" in said or "the config: created differs" in said, said
