from hypothesis import find
from hypothesis import strategies as st

import harness.hypothesis_entry  # noqa: F401 - as Hypothesis does, where the distribution is installed
from kubeimage.kubefile import Kubefile, render


def test_a_kubefile_can_be_asked_for_by_its_type_and_shrinks_to_the_shortest() -> None:
    assert render(find(st.from_type(Kubefile), lambda _kubefile: True)) == "FROM scratch\n"
    assert render(find(st.from_type(Kubefile), lambda found: bool(found.layered))) == "FROM scratch\nRUN true\n"
