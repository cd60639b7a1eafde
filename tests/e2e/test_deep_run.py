"""RUN on the deepest image there can be, and where nothing may be mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeimage.run.landlock import why_not
from tests.e2e.program import Program

COPIES = 127
RUN = "cat f* > all && rm f000 && mkdir -p d/e && ln f001 d/link && mv f002 d/e/moved && chmod 4755 f003"
# The same for root and for everybody else, by overlay and by copying.
IMAGE_ID = "sha256:f8997e14d29e3a6b69c62eb9265d73ec220c5498cc4d7f03ded4956bf7248505"


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """Return a project of 127 COPYs and a RUN."""
    context = tmp_path / "deep"
    context.mkdir()
    for number in range(COPIES):
        (context / f"f{number:03}").write_text(f"file {number}\n")
    copies = "".join(f"COPY f{number:03} .\n" for number in range(COPIES))
    (context / "Kubefile").write_text(f"FROM scratch\n{copies}RUN {RUN}\n")
    return context


@pytest.fixture
def locked(tmp_path: Path) -> Program:
    """Return the program as in a closed container: it may neither mount nor make a namespace."""
    close = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all -- "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "sh", "-c", close, "sh")
    return Program(tmp_path / "store", tmp_path, prefix=prefix)


@pytest.mark.parametrize("mount", ["overlay", "copy"])
def test_a_run_on_127_layers_gives_the_same_image_everywhere(mount: str, kubeimage: Program, deep: Path) -> None:
    name = "a store, with: odd names"
    root = kubeimage.folder / name / ("x" * max(1, 200 - len(str(kubeimage.folder)) - len(name)))

    image_id = kubeimage.with_root(root).build("deep:v1", deep, f"--mount={mount}", "--platform=linux/amd64")

    assert image_id == IMAGE_ID


def test_without_namespaces_a_project_of_copies_builds_with_no_flag_at_all(locked: Program, deep: Path) -> None:
    kubefile = deep / "Kubefile"
    kubefile.write_text(kubefile.read_text().replace(f"RUN {RUN}\n", ""))

    locked.build("copies:v1", deep)

    assert len(locked.inspect("copies:v1")["spec"]["layers"]) == COPIES


def test_without_namespaces_a_run_names_the_ways_out_and_they_work(locked: Program, deep: Path) -> None:
    ended = locked.run("build", "-t", "deep:v1", "--platform=linux/amd64", "--isolation=sandbox", deep, status=1)
    image_id = locked.build("deep:v1", deep, "--mount=copy", "--isolation=none", "--platform=linux/amd64")

    assert "--mount=copy --isolation=none" in ended.stderr
    assert "user.max_user_namespaces is 0 here" in ended.stderr
    assert "sysctl user.max_user_namespaces=15000" in ended.stderr
    assert image_id == IMAGE_ID


@pytest.mark.skipif(why_not() is not None, reason=f"no Landlock to try: {why_not()}")
def test_without_namespaces_landlock_gives_the_same_image(locked: Program, deep: Path) -> None:
    assert locked.build("deep:v1", deep, "--platform=linux/amd64") == IMAGE_ID
