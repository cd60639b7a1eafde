"""What a store must come back to, and what many projects on one store must not do to each other."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hypothesis import given
from hypothesis import strategies as st

from harness.cases.modelled import put_image
from harness.model.build import BASE_NAME
from harness.stateful.agreement import build_project, project_backends
from harness.strategies import Edit, Project, projects
from harness.trees import write_tree
from kubeimage.api.backends import open_backends
from kubeimage.image.reference import Reference
from tests.oneshot import check_store, prune_store, remove_images
from tests.properties.examples import edited_projects, examples

NAME = "made:1"


def state_of(root: Path) -> dict[str, str]:
    """Every file of a store with its digest."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@examples(0.2)
@given(projects(runs=False), projects(runs=False))
def test_rmi_and_prune_restore_the_state_before(kept: Project, project: Project) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "store")
        for name, one in (("kept:1", kept), (NAME, project)):
            write_tree(f"{folder}/{name}", one.context)
        _build(kept, str(root), f"{folder}/kept:1", "kept:1", project)
        prune_store(str(root))
        before = state_of(root)

        _build(project, str(root), f"{folder}/{NAME}", NAME, project)
        remove_images([NAME], root=str(root))
        prune_store(str(root))

        assert state_of(root) == before
        assert [one for one in check_store(str(root)) if one.damage] == []


def _build(project: Project, root: str, context: str, name: str, last: Project) -> None:
    """Build, and leave the base of ``last`` in the store under the name that all bases have."""
    with open_backends(root, mount="copy") as backends:
        build_project(project, backends, context, names=(name,))
        if last.base is not None:
            put_image(last.base, backends, [Reference.parse(BASE_NAME)])


@examples(0.3)
@given(projects(min_size=1, runs=False), st.integers(0, 3))
def test_a_damaged_layer_is_noticed_and_made_again(project: Project, number: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = f"{folder}/store"
        write_tree(f"{folder}/context", project.context)
        with open_backends(root, mount="copy") as backends:
            built = build_project(project, backends, f"{folder}/context", names=(NAME,))
        made = [one.layer.diff_id for one in built.steps if one.layer]
        for diff_id in made[number : number + 1]:
            with writable(f"{root}/blobs/sha256/{diff_id.hex}") as blob:
                blob.write(b"\xff")

        with open_backends(root, mount="copy") as backends:
            again = build_project(project, backends, f"{folder}/context", names=(NAME,), with_base=False)

        assert again.image.id == built.image.id
        assert [one for one in check_store(root) if one.damage] == []


@contextmanager
def writable(path: str) -> Iterator[BinaryIO]:
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        yield file


@examples(0.5)
@given(edited_projects(), edited_projects())
def test_projects_on_one_store_leave_each_other_alone(one: tuple[Project, Edit], other: tuple[Project, Edit]) -> None:
    variants = [one[0], other[0], one[1].project, other[1].project]
    backends = project_backends(variants[0])

    shared = [build_project(project, project_backends(project, backends)).image.id for project in variants * 2]

    alone = [build_project(project, project_backends(project)).image.id for project in variants]
    assert shared == alone * 2
