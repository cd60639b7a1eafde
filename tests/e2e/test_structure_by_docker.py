"""container-structure-test's verdicts on commands, users and owners, by its docker driver on a Docker of our own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cst.commands import faults_of_results, steps_of
from harness.cst.judge import judge, variables_of
from harness.cst.spec import CommandTest, Spec, name_of, read_spec
from harness.cst.subject import OpenedSubject
from kubeimage import open_backends, open_image
from kubeimage.api.running import run_steps
from tests.e2e.test_containers import Docker, docker  # noqa: F401 - a fixture
from tests.harness.cst.program import Verdict, find_program, verdicts
from tests.harness.cst.table import COMMANDS, OPTIONS, USERS
from tests.imageroots import RootImage, root_image

OWNERS = """schemaVersion: 2.0.0
fileExistenceTests:
- {name: own, path: /home/app/own, uid: 1000, gid: 1000, permissions: '-rw-------'}
- {name: not own, path: /home/app/own, uid: 0}
- {name: folder, path: /home/app, uid: 1000}
- {name: root, path: /, permissions: drwxr-xr-x, uid: 0}
"""
IMAGES = {
    "root": (root_image(Env=["PATH=/bin", "A=1"]), (COMMANDS, OWNERS)),
    "user": (root_image(Env=["PATH=/bin", "A=1"], User="app", WorkingDir="/home/app"), (USERS, OPTIONS, OWNERS)),
}
GIVEN = {"GIVEN": "here"}

pytestmark = [
    pytest.mark.needs("dockerd", "docker"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start Docker"),
]


def ours(path: Path, archive: Path, store: Path) -> list[Verdict]:
    spec = read_spec(str(path), path.read_bytes())
    with open_backends(str(store)) as backends:
        opened = open_image(f"docker-archive:{archive}", backends)
        subject = OpenedSubject(opened)

        def run(test: CommandTest, spec: Spec) -> Iterator[str]:
            steps = steps_of(test, spec, variables_of(subject), GIVEN, network=False, timeout=60)
            yield from faults_of_results(test, run_steps(opened.image, steps, backends))

        return [(name_of(test), not judge(test, spec, subject, run)) for test in spec.tests]


@pytest.mark.parametrize("name", IMAGES)
def test_the_verdicts_are_the_program_s(name: str, docker: Docker, tmp_path: Path) -> None:  # noqa: F811
    find_program()
    image, texts = IMAGES[name]
    assert isinstance(image, RootImage)
    archive = image.write_docker_archive(tmp_path / "image.tar", f"judged/{name}:v1")
    loaded = docker.command("load", "-i", str(archive))
    assert loaded.returncode == 0, loaded.stderr
    files = [tmp_path / f"{number}.yaml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)

    said = verdicts(f"judged/{name}:v1", files, "docker", {"DOCKER_HOST": f"unix://{docker.socket}", **GIVEN})

    expected = [verdict for file in files for verdict in ours(file, archive, tmp_path / "store")]
    # A test whose setup cannot be started is called by its bare name there.
    assert [(test.rpartition(": ")[2], passes) for test, passes in said] == [
        (test.rpartition(": ")[2], passes) for test, passes in expected
    ]
