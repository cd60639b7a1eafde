"""State machines: stores against stores, and the executor against the model, through many steps on one store."""

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from harness.stateful import DialectMachine, DiskPlace, ExecutorMachine, FakeFilesPlace, MemoryPlace, StoreMachine
from harness.stateful.places import MachinePlace
from harness.trees import File
from kubeimage.image.reference import Reference
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
def test_the_executor_does_what_the_model_says(make_place: Callable[[], MachinePlace], factor: float) -> None:
    run_state_machine_as_test(ExecutorMachine.over(make_place), settings=machine_examples(factor))


def test_the_executor_does_what_the_model_of_the_dialects_says() -> None:
    run_state_machine_as_test(DialectMachine, settings=machine_examples(0.2))


def test_on_a_disk_the_executor_does_what_the_model_of_the_dialects_says() -> None:
    machine = DialectMachine.over(lambda: DiskPlace("copy"))

    run_state_machine_as_test(machine, settings=machine_examples(0.02))


def test_a_layer_that_is_missing_is_told_before_one_that_is_damaged() -> None:
    """The machine's rules compare what both stores say."""
    state = StoreMachine()
    try:
        damaged = state.put_layer(layer={"a": File(b"1")})
        state.put_image(labels={}, names=[Reference.parse("one:1")], stored=[damaged])
        state.damage(layer=damaged)
        missing = state.put_layer(layer={"b": File(b"2")})
        state.prune(keep_cache=False)
        state.put_image(labels={}, names=[], stored=[damaged, missing])
    finally:
        state.teardown()
