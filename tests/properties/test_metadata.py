"""How commands and arguments are merged along a chain of images."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from harness.model.build import Image, merge
from harness.stateful.agreement import build_project, project_backends, read_image
from harness.strategies import Project
from kubeimage.image.document import merge_commands
from kubeimage.kubefile import Cmd, Instruction
from tests.properties.examples import examples

COMMANDS = st.lists(st.sampled_from(("a", "b", "c", "sleep 5", "x=1,y=2")), max_size=5).map(tuple)


@examples(1)
@given(COMMANDS, COMMANDS)
def test_merging_is_what_the_model_says(first: tuple[str, ...], then: tuple[str, ...]) -> None:
    assert merge_commands(first, then) == merge(first, then)


@examples(1)
@given(COMMANDS, COMMANDS, COMMANDS)
def test_merging_is_associative(first: tuple[str, ...], second: tuple[str, ...], third: tuple[str, ...]) -> None:
    assert merge_commands(merge_commands(first, second), third) == merge_commands(first, merge_commands(second, third))


@examples(1)
@given(COMMANDS, COMMANDS)
def test_merging_the_same_again_changes_nothing(first: tuple[str, ...], then: tuple[str, ...]) -> None:
    merged = merge_commands(first, then)

    assert merge_commands(merged, then) == merged
    assert merge_commands(merged, first) == merged


@examples(1)
@given(COMMANDS, COMMANDS)
def test_order_is_kept_and_nothing_is_lost(first: tuple[str, ...], then: tuple[str, ...]) -> None:
    merged = merge_commands(first, then)

    assert merged[: len(first)] == first
    assert set(merged) == {*first, *then}
    assert [one for one in then if one not in first] == list(merged[len(first) :])


@examples(0.5)
@given(st.lists(st.tuples(COMMANDS, st.dictionaries(st.sampled_from("AB"), st.sampled_from("123"))), max_size=4))
def test_a_chain_of_images_runs_each_inherited_command_once(
    chain: list[tuple[tuple[str, ...], dict[str, str]]],
) -> None:
    base: Image | None = None
    run: tuple[str, ...] = ()
    arguments: dict[str, str] = {}
    for commands, given_arguments in chain:
        project = _stage(base, commands, given_arguments)
        backends = project_backends(project)
        image = build_project(project, backends).image
        base = read_image(image, backends.layers)

        run, arguments = merge(run, commands), {**arguments, **given_arguments}
        assert base.run_by_a_cluster == run
        assert {**base.parent_arguments, **base.arguments} == arguments
        assert image.runtime.cmd == run
        assert dict(image.runtime.env) == arguments


def _stage(base: Image | None, commands: tuple[str, ...], arguments: Mapping[str, str]) -> Project:
    text = "".join(f"ARG {key}={value}\n" for key, value in arguments.items())
    project = Project.of(f"FROM {'base:1' if base else 'scratch'}\n{text}", base=base)
    behind: list[Instruction] = [Cmd((command,)) for command in commands]
    return project.with_instructions([*project.kubefile.instructions, *behind])
