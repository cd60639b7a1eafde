"""The executor in the dialects after Docker's rules: projects on one store in memory, each as their model says."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.fakes.mounts import MemoryMounter
from harness.fuzz.target import Target
from harness.fuzz.written import Names, read_tuple
from harness.stateful.dockeragreement import agrees, docker_backends
from harness.strategies import Project, docker_edits, projects
from harness.strategies.images import PLATFORMS
from harness.trees import File, Folder, Link
from kubeimage.image.compatibility import Dialect

Case = tuple[Project, ...]

_NAMES: Names = {"Project.of": Project.of, **{one.__name__: one for one in (File, Folder, Link)}}


def check(case: Case) -> None:
    """Build one after the other, and compare images and errors with the model's.

    Raises: AssertionError; whatever a build raises that is not kubeimage's.
    """
    backends = docker_backends(case[0])
    for project in case:
        assert agrees(project, docker_backends(project, backends))
        assert isinstance(backends.mounter, MemoryMounter)
        assert backends.mounter.mounted == 0, "something is left mounted"


def _cases(dialect: Dialect) -> SearchStrategy[Case]:
    return st.one_of(
        projects(dialect=dialect, platforms=PLATFORMS).map(lambda one: (one,)),
        projects(dialect=dialect, hostile=True).map(lambda one: (one, one)),
        projects(dialect=dialect).flatmap(lambda one: docker_edits(one).map(lambda edited: (one, edited, one))),
    )


TARGET = Target(
    "dialects",
    st.one_of(_cases("sealos"), _cases("sealer-0.9")),
    check,
    dump=lambda case: repr(case).encode(),
    load=lambda data: read_tuple(data, _NAMES, Project),
)
