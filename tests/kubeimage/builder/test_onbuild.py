"""ONBUILD: what a base image has for those built on it."""

import pytest

from kubeimage.errors import KubefileError, LayerLimitError, SourceNotFoundError
from tests.kubeimage.builder.conftest import World

BASE = """# syntax=sealos
FROM scratch
ENV A=base
ONBUILD COPY a /of-$A/
ONBUILD ENV B=${A}2
ONBUILD WORKDIR /w
"""
FILES = {"a": b"1", "b": b"2"}


def test_the_base_s_triggers_run_before_the_file_s_own_instructions(world: World) -> None:
    base = world.build(BASE, FILES, name="base:1").image
    text = "# syntax=sealos\nFROM base:1\nCOPY b $B\n"

    result = world.build(text, FILES)
    again = world.build("# syntax=sealos\nFROM base:1\n", FILES)

    assert base.layers == ()
    assert set(world.tree(result.image)) == {"of-base", "of-base/a", "w", "w/base2"}
    assert [one.created_by for one in result.image.history] == [
        *(one.created_by for one in base.history),
        "COPY a /of-$A/",
        "ENV B=${A}2",
        "WORKDIR /w",
        "COPY b $B",
    ]
    assert result.image.runtime.on_build == ()
    assert all(one.cached for one in again.steps if one.step.makes_layer)


def test_triggers_of_a_stage_are_for_those_that_stand_on_it(world: World) -> None:
    text = "# syntax=sealos\nFROM scratch AS one\nCOPY b b\nONBUILD COPY a a\nFROM one AS two\nCOPY a c\nFROM two\n"

    assert set(world.tree(world.build(text, FILES).image)) == {"a", "b", "c"}
    assert set(world.tree(world.build(text, FILES, stage="one").image)) == {"b"}


def test_a_trigger_that_fails_names_the_base(world: World) -> None:
    world.build(BASE, FILES, name="base:1")

    with pytest.raises(SourceNotFoundError) as caught:
        world.build("# syntax=sealos\nFROM base:1\n", {"b": b"2"})
    assert caught.value.location is not None
    assert caught.value.location.file == "ONBUILD of base:1"
    assert caught.value.location.text == "COPY a /of-$A/"


def test_triggers_count_as_layers(world: World) -> None:
    world.build("# syntax=sealos\nFROM scratch\n" + "ONBUILD COPY a x/\n" * 129, FILES, name="base:1")

    with pytest.raises(LayerLimitError, match="would have 129"):
        world.build("# syntax=sealos\nFROM base:1\n", FILES)


@pytest.mark.parametrize("line", ["ONBUILD ONBUILD RUN x", "ONBUILD FROM x", "ONBUILD MAINTAINER x", "ONBUILD CPY a b"])
def test_what_no_trigger_can_be_is_refused(world: World, line: str) -> None:
    with pytest.raises(KubefileError, match="ONBUILD does not take"):
        world.build(f"# syntax=sealos\nFROM scratch\n{line}\n", FILES)


def test_a_trigger_that_takes_from_elsewhere_is_refused_where_it_would_run(world: World) -> None:
    world.build("# syntax=sealos\nFROM scratch\nONBUILD COPY --from=one a a\n", FILES, name="base:1")

    with pytest.raises(KubefileError, match="takes from elsewhere: COPY --from=one a a"):
        world.build("# syntax=sealos\nFROM base:1\n", FILES)
