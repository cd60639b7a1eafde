"""The executor against the model, in the dialects after Docker's rules."""

from dataclasses import replace
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from harness.model.build import BASE_NAME
from harness.stateful.agreement import build_project
from harness.stateful.dockeragreement import (
    agrees,
    docker_backends,
    expected_of_docker,
    read_docker_image,
    try_docker_project,
)
from harness.strategies import Project, docker_edits, projects
from harness.strategies.images import PLATFORMS
from harness.trees import write_tree
from kubeimage.api.backends import open_backends
from tests.properties.examples import examples

SEALOS = projects(dialect="sealos", platforms=PLATFORMS)
SEALER_09 = projects(dialect="sealer-0.9", platforms=PLATFORMS)


@examples(2)
@given(SEALOS)
def test_a_build_is_what_the_model_says(project: Project) -> None:
    wanted = expected_of_docker(project).image
    assert wanted is not None

    assert try_docker_project(project, docker_backends(project)).image == wanted


@examples(1)
@given(SEALER_09)
def test_a_build_of_applications_is_what_the_model_says(project: Project) -> None:
    wanted = expected_of_docker(project).image
    assert wanted is not None

    assert try_docker_project(project, docker_backends(project)).image == wanted


@examples(1)
@given(st.one_of(projects(dialect="sealos", hostile=True), projects(dialect="sealer-0.9", hostile=True)))
def test_a_build_fails_where_the_model_says_it_does(project: Project) -> None:
    assert agrees(project, docker_backends(project))


@examples(1)
@given(st.one_of(SEALOS, SEALER_09))
def test_building_again_gives_the_same_image_from_the_cache_alone(project: Project) -> None:
    backends = docker_backends(project)
    first = try_docker_project(project, backends)

    again = build_project(project, backends)

    assert read_docker_image(again.image, backends.layers) == first.image
    assert again.cache_misses == 0


@examples(1)
@given(st.one_of(SEALOS, SEALER_09).flatmap(lambda one: docker_edits(one).map(lambda edited: (one, edited))))
def test_what_is_edited_is_built_anew_and_nothing_else_is_taken_for_it(pair: tuple[Project, Project]) -> None:
    project, edited = pair
    backends = docker_backends(project)
    try_docker_project(project, backends)

    seen = try_docker_project(edited, docker_backends(edited, backends))

    assert seen.image == expected_of_docker(edited).image


@examples(0.1)
@given(st.one_of(projects(dialect="sealos", runs=False), projects(dialect="sealer-0.9", runs=False)))
def test_a_build_on_disk_is_what_the_model_says(project: Project) -> None:
    with TemporaryDirectory() as folder, open_backends(f"{folder}/store", mount="copy") as backends:
        below = project.below
        if below is not None:
            write_tree(f"{folder}/below", below.context)
            build_project(below, backends, f"{folder}/below", names=(BASE_NAME,))
        write_tree(f"{folder}/context", project.context)

        seen = try_docker_project(replace(project, below=None), backends, f"{folder}/context")

    assert seen.image == expected_of_docker(project).image
