import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.vendor.pretty import pretty

from harness import trees
from harness.asking.options import Settings
from harness.cases.building import KubeBuild
from harness.cases.workshop import Workshop
from harness.model import Image, build, complete
from harness.model.context import Context
from harness.model.sources import collect
from harness.model.tree import OPAQUE
from harness.strategies import (
    Edit,
    Project,
    base_images,
    build_args,
    build_contexts,
    edits,
    instructions,
    kubefiles,
    projects,
    written_kubefiles,
)
from harness.strategies.images import PLATFORMS
from harness.trees import Content, File, Folder, HardLink, Link, write_tree
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
    find(instructions(), lambda found: isinstance(found, kind), settings=SEARCH, random=Random(2))


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
@given(project=projects(max_base_layers=0))
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
        lambda: base_images(max_layers=129),
        lambda: instructions(sources=()),
    ],
    ids=["contexts", "kubefiles", "projects", "base images", "instructions"],
)
def test_bad_arguments_are_refused(make: Callable[..., Any]) -> None:
    with pytest.raises(InvalidArgument):
        make()


@given(projects(runs=False))
def test_projects_can_do_without_run(project: Project) -> None:
    assert not any(isinstance(one, Run) for one in project.kubefile.instructions)


NAMES = {
    name: getattr(trees, name) for name in ("File", "Folder", "Link", "HardLink", "Fifo")
} | {"Project": Project, "Image": Image}  # fmt: skip


@given(projects(platforms=PLATFORMS))
def test_a_project_prints_as_what_can_be_pasted(project: Project) -> None:
    pasted = eval(repr(project), NAMES)

    assert pasted == project
    assert pretty(project) == repr(project)


@given(kubefiles())
def test_a_kubefile_prints_as_what_can_be_pasted(kubefile: Kubefile) -> None:
    assert eval(pretty(kubefile), {"parse": parse}) == kubefile


SEARCH = settings(max_examples=20_000, database=None, phases=[Phase.generate])


def matches(project: Project, pattern: str) -> list[int]:
    """How many entries each COPY with a source that ends in ``pattern`` brings."""
    context = Context(complete(project.context))
    found = []
    for one in project.kubefile.instructions:
        if isinstance(one, Copy) and one.sources[0].endswith(pattern):
            entries, _, _ = collect(context, (one.sources, one.destination, one.exact, one.chmod))
            found.append(len(entries))
    return found


def lacks_default(project: Project) -> bool:
    """Whether an ARG has none."""
    return bool(re.search(r"^ARG \w+$", project.text, re.MULTILINE))


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        pytest.param(build_contexts(), lambda tree: any(isinstance(one, HardLink) for one in tree.values()), id="link"),
        pytest.param(
            build_contexts(), lambda tree: any(tree[path] == Link(path) for path in tree), id="link to itself"
        ),
        pytest.param(build_contexts(), lambda tree: any(path.count("/") > 5 for path in tree), id="deep tree"),
        pytest.param(build_contexts(), lambda tree: Folder() in tree.values(), id="empty folder"),
        pytest.param(build_contexts(), lambda tree: {"a", "a.b"} <= tree.keys(), id="name prefixes"),
        pytest.param(build_contexts(), lambda tree: any(len(path) > 100 for path in tree), id="long name"),
        pytest.param(build_contexts(hostile=True), lambda tree: ".wh.a" in tree, id="reserved name"),
        pytest.param(projects(), lambda project: max(matches(project, "*"), default=0) > 1, id="many match"),
        pytest.param(projects(), lambda project: project.base is not None and "mv" in project.text, id="base"),
        pytest.param(projects(hostile=True), lambda project: build(project.request).error == "E0303", id="escape"),
        pytest.param(projects(hostile=True), lambda project: build(project.request).error == "E0102", id="undeclared"),
        pytest.param(projects(), lambda project: "nowhere/../" in project.text, id="a source with .."),
        pytest.param(projects(), lambda project: lacks_default(project) and not project.build_args, id="no value"),
        pytest.param(projects(), lambda project: lacks_default(project) and project.build_args, id="given"),
        pytest.param(
            build_contexts(),
            lambda tree: any(isinstance(one, File) and one.xattrs for one in tree.values()),
            id="xattrs",
        ),
        pytest.param(projects().flatmap(edits), lambda edit: edit.what.startswith("touch"), id="touch"),
        pytest.param(
            edits(Project.of("FROM scratch\nARG A=1\nCOPY a .\n", {"a": "1"}, build_args={"A": "2"})),
            lambda edit: edit.what == "no build args",
            id="no build args",
        ),
        pytest.param(base_images(), lambda image: len(image.layers) == 128, id="128 layers"),
        pytest.param(base_images(), lambda image: any(OPAQUE in "".join(one) for one in image.layers), id="opaque"),
        pytest.param(written_kubefiles(), lambda written: "\\\n  # inside" in written.text, id="continuation"),
        pytest.param(written_kubefiles(), lambda written: {"\r", "\ufeff"} <= set(written.text), id="encoding"),
    ],
)
def test_the_nasty_parts_of_the_world_are_found(strategy: st.SearchStrategy[Any], wanted: Callable[..., Any]) -> None:
    find(strategy, wanted, settings=SEARCH, random=Random(2))


@given(projects(), st.data())
def test_an_edit_is_one_change_and_still_builds(project: Project, data: st.DataObject) -> None:
    what, changed, path = data.draw(edits(project))

    assert build(changed.request).error is None
    different = [
        one for one in ("kubefile", "context", "base", "build_args") if getattr(project, one) != getattr(changed, one)
    ]
    assert set(different) <= ({"context"} if path else {"kubefile", "base", "build_args"})
    assert what


@given(edits(Project.of("FROM scratch")))
@settings(max_examples=20)
def test_a_project_without_files_can_be_edited(edit: Edit) -> None:
    assert edit.what.startswith(("new file", "platform"))


@given(kubefiles(), st.data())
def test_build_args_are_for_what_is_declared(kubefile: Kubefile, data: st.DataObject) -> None:
    assert set(data.draw(build_args(kubefile))) <= set(kubefile.declared)


@pytest.mark.parametrize(
    ("wanted", "most_instructions"),
    [
        (lambda project: "RUN mv" in project.text, 3),
        (lacks_default, 2),
        (lambda project: any(isinstance(one, File) and one.xattrs for one in project.context.values()), 1),
    ],
    ids=["mv", "no value", "xattrs"],
)
def test_a_failing_project_shrinks_to_what_matters(wanted: Callable[..., Any], most_instructions: int) -> None:
    found = find(projects(), wanted, settings=settings(max_examples=1_000, database=None), random=Random(2))

    assert len(found.kubefile.instructions) <= most_instructions
    assert len(found.context) <= 2
    assert found.base is None
