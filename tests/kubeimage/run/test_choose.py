"""Which runner a name stands for."""

import pytest

from kubeimage.errors import UsageError
from kubeimage.run.choose import choose_runner


@pytest.mark.parametrize(("name", "chosen"), [("auto", "sandbox"), ("sandbox", "sandbox"), ("none", "none")])
def test_less_than_a_sandbox_has_to_be_asked_for_and_is_warned_of(name: str, chosen: str) -> None:
    said: list[str] = []

    runner = choose_runner(name, said.append)

    assert (runner.name, len(said)) == (chosen, name == "none")


def test_another_name_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(UsageError, match="'jail'") as caught:
        choose_runner("jail")

    assert caught.value.hint == "choose one of auto, sandbox, none"
