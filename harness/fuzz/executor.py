"""The executor: projects one after the other on one store in memory, each as the model says."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness import model
from harness.fakes.mounts import MemoryMounter
from harness.fuzz.target import Target
from harness.fuzz.written import Names, read_tuple
from harness.images.backends import memory_backends
from harness.stateful.agreement import expected, project_backends, try_project
from harness.strategies import Project, edits, projects
from harness.strategies.images import PLATFORMS
from harness.trees import Fifo, File, Folder, HardLink, Link

Case = tuple[Project, ...]

_NAMES: Names = {
    "Project.of": Project.of,
    "Image": model.Image,
    **{one.__name__: one for one in (Fifo, File, Folder, HardLink, Link)},
}


def check(case: Case) -> None:
    """Build, and compare images, errors and cache hits with the model's.

    Raises: AssertionError; whatever a build raises that is not kubeimage's.
    """
    backends = memory_backends()
    cache: model.Cache = frozenset()
    for project in case:
        outcome = model.build(project.request, cache)
        cache = outcome.cache
        assert try_project(project, project_backends(project, backends)) == expected(outcome)
        assert isinstance(backends.mounter, MemoryMounter)
        assert backends.mounter.mounted == 0, "something is left mounted"


def _edited(project: Project) -> SearchStrategy[Case]:
    return edits(project).map(lambda edit: (project, edit.project, project))


TARGET = Target(
    "executor",
    st.one_of(
        projects(platforms=PLATFORMS).map(lambda one: (one,)),
        projects(hostile=True).map(lambda one: (one, one)),
        projects(min_size=3).flatmap(_edited),
    ),
    check,
    dump=lambda case: repr(case).encode(),
    load=lambda data: read_tuple(data, _NAMES, Project),
)
