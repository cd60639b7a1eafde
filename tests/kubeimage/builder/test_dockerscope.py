"""Words that are expanded while a build is planned."""

import pytest

from kubeimage.errors import KubefileError
from tests.kubeimage.builder.conftest import World


@pytest.mark.parametrize("line", ["COPY --chown=${A a /x", "RUN --mount=type=cache,target=${A true", "WORKDIR ${A"])
def test_a_word_that_nothing_can_expand_is_an_error_with_its_place(line: str) -> None:
    with pytest.raises(KubefileError) as caught:
        World().build(f"# syntax=sealos\nFROM scratch\n{line}\n", {"a": b""})

    (found,) = caught.value.diagnostics
    assert (found.code, found.location.line if found.location else 0) == ("E0262", 3)
