"""State machines: stores against stores, and the executor against the model, through many steps on one store."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from harness.stateful import DiskPlace, ExecutorMachine, FakeFilesPlace, MemoryPlace, StoreMachine
from tests.properties.examples import machine_examples


def test_stores_in_memory_and_on_disk_agree() -> None:
    run_state_machine_as_test(StoreMachine, settings=settings(machine_examples(0.5), stateful_step_count=30))


@pytest.mark.parametrize(
    ("make_place", "factor"),
    [
        pytest.param(MemoryPlace, 0.5, id="memory"),
        pytest.param(FakeFilesPlace, 0.05, id="pyfakefs"),
        pytest.param(lambda: DiskPlace("overlay"), 0.05, id="overlay"),
        pytest.param(lambda: DiskPlace("copy"), 0.05, id="copy"),
    ],
)
def test_the_executor_does_what_the_model_says(make_place, factor: float) -> None:
    run_state_machine_as_test(ExecutorMachine.over(make_place), settings=machine_examples(factor))
