"""kube_build takes what the strategies give."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import model
from harness.asking.options import Settings
from harness.cases.building import KubeBuild
from harness.cases.workshop import Workshop
from harness.fakes.noting import NotingRunner
from harness.model import Image
from harness.stateful.agreement import expected, read_image
from harness.stateful.dockeragreement import expected_of_docker, read_docker_image
from harness.strategies import Project, projects
from harness.trees import File
from kubeimage.errors import KubeimageError
from tests.properties.examples import examples


def in_memory(folder: str) -> KubeBuild:
    return KubeBuild(Workshop(Settings(backend="memory"), folder))


@examples(0.5)
@given(projects(max_base_layers=2))
def test_a_project_is_built_as_it_is_with_its_base(project: Project) -> None:
    wanted = expected(model.build(project.request))
    with tempfile.TemporaryDirectory() as folder:
        build = in_memory(folder)
        if wanted.image is None:
            with pytest.raises(KubeimageError) as raised:
                build(project)
            assert raised.value.diagnostics[0].code == wanted.error
            return
        built = build(project)
        with built.place.open() as backends:
            assert read_image(built.image, backends.layers) == wanted.image


def test_what_is_given_beside_a_project_goes_first(tmp_path: Path) -> None:
    base = Image("linux/amd64", ({"old": File(b"1")},), (("COPY", "old ."),), (("COPY old .", True),))
    project = Project.of("FROM base\nARG A=1\nCOPY a .\n", {"a": "1"}, base=base, build_args={"A": "2"})

    built = in_memory(str(tmp_path))(project, {"a": "changed"}, build_args={"A": "3"})

    assert built.rootfs == {"a": "changed", "old": "1"}
    assert built.args["A"] == "3"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((3,), "kube_build takes a text, a path, a Kubefile or a Project, not 3"),
        (("FROM base\n", {}, 3), "base= takes a built image, an Image of harness.model or a tree, not 3"),
    ],
)
def test_what_it_cannot_take_is_named(tmp_path: Path, given: tuple[Any, ...], message: str) -> None:
    kubefile, *context = given

    with pytest.raises(TypeError, match=message.replace(".", r"\.")):
        in_memory(str(tmp_path))(kubefile, *context[:1], base=context[1] if len(context) > 1 else None)


@examples(0.2)
@given(st.one_of(projects(dialect="sealos", max_size=3), projects(dialect="sealer-0.9", max_size=3)))
def test_a_project_of_another_dialect_is_built_with_what_it_stands_on(project: Project) -> None:
    with tempfile.TemporaryDirectory() as folder:
        built = in_memory(folder)(project, runner=NotingRunner())
        with built.place.open() as backends:
            assert read_docker_image(built.image, backends.layers) == expected_of_docker(project).image
