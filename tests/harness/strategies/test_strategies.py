from pathlib import Path

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis.errors import InvalidArgument

from harness.building import KubeBuild
from harness.options import Settings
from harness.strategies import Project, build_contexts, instructions, kubefiles, projects
from harness.trees import Content, write_tree
from harness.workshop import Workshop
from kubeimage.kubefile import Arg, Cmd, Copy, Kubefile, Run, parse, render


@given(kubefiles())
def test_kubefiles_are_valid_and_survive_being_written(kubefile: Kubefile) -> None:
    assert parse(render(kubefile)) == kubefile


@given(kubefiles(min_size=2, max_size=3))
def test_kubefiles_have_the_size_that_was_asked_for(kubefile: Kubefile) -> None:
    behind = kubefile.instructions[kubefile.instructions.index(kubefile.base) + 1 :]

    assert 2 <= len(behind) <= 3


@pytest.mark.parametrize("kind", [Arg, Cmd, Copy, Run])
def test_instructions_are_of_every_kind(kind: type) -> None:
    assert isinstance(find(instructions(), lambda found: isinstance(found, kind)), kind)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(Settings(backend="memory"), str(tmp_path_factory.mktemp("run")))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(tree=build_contexts(min_size=1))
def test_contexts_can_be_written(workshop: Workshop, tree: dict[str, Content]) -> None:
    with workshop.scratch() as folder:
        write_tree(folder, tree)

        assert {str(path.relative_to(folder)) for path in Path(folder).rglob("*")} >= set(tree)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(project=projects())
def test_projects_build(workshop: Workshop, project: Project) -> None:
    image = KubeBuild(workshop)(project.kubefile, project.context)

    assert len(image.layers) <= len(project.kubefile.layered)
    assert image.cmd == list(project.kubefile.commands)


@pytest.mark.parametrize(
    "make",
    [
        lambda: build_contexts(min_size=3, max_size=2),
        lambda: kubefiles(min_size=-1),
        lambda: projects(max_size=-1),
        lambda: instructions(sources=()),
    ],
    ids=["contexts", "kubefiles", "projects", "instructions"],
)
def test_bad_arguments_are_refused(make) -> None:
    with pytest.raises(InvalidArgument):
        make()


@given(projects(runs=False))
def test_projects_can_do_without_run(project: Project) -> None:
    assert not any(isinstance(one, Run) for one in project.kubefile.instructions)
    assert f"text={project.text!r}" in repr(project)
