"""Words that are expanded while a build is planned."""

import pytest

from kubeimage.builder.dockerscope import DockerScope
from kubeimage.builder.plan import BuildOptions
from kubeimage.builder.planning import scope_of
from kubeimage.errors import KubefileError
from kubeimage.kubefile import parse
from tests.kubeimage.builder.conftest import World


@pytest.mark.parametrize("line", ["COPY --chown=${A a /x", "RUN --mount=type=cache,target=${A true", "WORKDIR ${A"])
def test_a_word_that_nothing_can_expand_is_an_error_with_its_place(line: str) -> None:
    with pytest.raises(KubefileError) as caught:
        World().build(f"# syntax=sealos\nFROM scratch\n{line}\n", {"a": b""})

    (found,) = caught.value.diagnostics
    assert (found.code, found.location.line if found.location else 0) == ("E0262", 3)


def test_the_image_stands_on_the_base_of_the_lowest_stage_below_it() -> None:
    text = "# syntax=sealos\nFROM x AS other\nFROM a/b:1 AS one\nFROM one AS two\nFROM two\nCOPY --from=other a b\n"

    scope = scope_of(parse(text), BuildOptions())

    assert isinstance(scope, DockerScope)
    assert (scope.bottom.stage.name, scope.base_name) == ("one", "a/b:1")
    assert [one.needed for one in scope.stages] == [(), (), (1,), (2, 0)]


def test_an_arg_behind_the_first_from_is_none_of_all_stages() -> None:
    text = "# syntax=sealos\nARG A=a\nFROM ${A} AS one\nARG B=b\nFROM ${B}\n"

    with pytest.raises(KubefileError, match="names no image: what it uses has no value"):
        scope_of(parse(text), BuildOptions())
