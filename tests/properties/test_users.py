"""An ordinary user's builds are root's builds: the same projects, the same image ids."""

import functools
import os
import pickle
import subprocess
import sys
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stateful.agreement import build_project, project_backends
from harness.strategies import Project, projects
from harness.trees import write_tree
from kubeimage.api.backends import open_backends
from tests.properties.examples import examples

NOBODY = 65534
# What such a user does; a process that was given other rights is the only one that has all of theirs.
BUILD_ALL = "import tests.properties.test_users as own; own.build_all()"


def ids_on_disk(chosen: list[Project], mount: str) -> list[str]:
    ids = []
    for project in chosen:
        with tempfile.TemporaryDirectory() as folder:
            write_tree(f"{folder}/context", project.context)
            with open_backends(f"{folder}/store", mount=mount) as backends:
                ids.append(str(build_project(project, backends, f"{folder}/context").image.id))
    return ids


def build_all() -> None:
    """Read projects, build them, and write their image ids: the other process's part."""
    os.umask(0o077)
    chosen = pickle.load(sys.stdin.buffer)
    sys.stdout.buffer.write(pickle.dumps([ids_on_disk(chosen, mount) for mount in ("overlay", "copy")]))


@functools.cache
def is_readable_by_nobody() -> bool:
    try:
        done = subprocess.run([sys.executable, "-c", "import harness"], user=NOBODY, capture_output=True, check=False)
    except PermissionError:
        # It is Python itself that may not be started.
        return False
    return done.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@examples(0.02)
@given(st.lists(projects(), min_size=4, max_size=4))
def test_an_ordinary_user_with_another_umask_builds_the_same_images(chosen: list[Project]) -> None:
    if not is_readable_by_nobody():
        pytest.skip("an ordinary user cannot read this installation")
    ids = [str(build_project(project, project_backends(project)).image.id) for project in chosen]

    done = subprocess.run(
        [sys.executable, "-c", BUILD_ALL], input=pickle.dumps(chosen), stdout=subprocess.PIPE, check=True,
        user=NOBODY, group=NOBODY, extra_groups=[], env={"PATH": os.environ["PATH"]},
    )  # fmt: skip

    assert pickle.loads(done.stdout) == [ids, ids]
