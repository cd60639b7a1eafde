"""The machine's limits in the middle of a build: one message that names the limit, and the store as it was."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.program import Program, snapshot, write

KUBEFILE = "FROM scratch\nCOPY f .\nRUN cat f/* > big\nRUN cat f/1 > small\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    files = {f"f/{number}": os.urandom(20_000).hex() for number in range(30)}
    return write(tmp_path / "context", {"Kubefile": KUBEFILE, **files})


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return a folder on a small disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", folder], check=False)
    if made.returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.needs("mount", "umount")
@pytest.mark.parametrize(
    ("disk", "line"),
    [("size=600k", 2), ("size=1800k", 3), ("size=4200k", 3), ("size=16m,nr_inodes=60", 3)],
    ids=["COPY", "unpacking a layer", "what RUN changed", "inodes"],
    indirect=["disk"],
)
def test_a_disk_that_fills_up_fails_the_build_and_loses_nothing(
    kubeimage: Program, disk: Path, line: int, context: Path
) -> None:
    program = kubeimage.with_root(disk / "store")
    before = program.build(
        "kept:v1", write(kubeimage.folder / "small", {"Kubefile": "FROM scratch\nCOPY x .\n", "x": ""})
    )

    stderr = program.run("build", "-t", "app:v1", "--progress=quiet", context, status=1).stderr

    assert (stderr.count("error["), f"Kubefile:{line}:1" in stderr, "No space left" in stderr) == (1, True, True)
    program.run("fsck")
    assert program.run("images").stdout.count(":v1") == 1
    assert program.inspect("kept:v1")["spec"]["id"] in before
    assert list((program.root / "ingest").iterdir()) == []


def with_open_files(program: Program, limit: int) -> Program:
    return replace(program, prefix=("sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh"))


def test_few_open_files_are_enough_for_a_build(kubeimage: Program, context: Path) -> None:
    expected = kubeimage.with_root(kubeimage.folder / "other").build("app:v1", context)

    assert with_open_files(kubeimage, 40).build("app:v1", context) == expected


def test_too_few_open_files_are_named(kubeimage: Program, context: Path) -> None:
    kubeimage.build("kept:v1", context)
    before = snapshot(kubeimage.root)

    failed = with_open_files(kubeimage, 8).run("build", "-t", "app:v1", "--no-cache", context, status=1)

    assert failed.stderr.count("error[") == 1
    assert "ulimit -n" in failed.stderr
    assert snapshot(kubeimage.root).keys() == before.keys()
    kubeimage.run("fsck")
