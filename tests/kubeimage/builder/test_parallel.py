"""Stages side by side: whose turn it is, in which order they tell, and that all end when one fails."""

import threading
from collections.abc import Callable, Mapping

import pytest

from kubeimage.builder.events import Event, StepFinished, StepOutput, StepStarted, Warned
from kubeimage.builder.parallel import Together, Turn, run_in_order
from kubeimage.builder.step import Step
from kubeimage.errors import StoppedError
from kubeimage.image.platform import Platform
from kubeimage.kubefile import Run
from kubeimage.protocols.running import Command, CommandResult, Mount

PATIENCE = 20
ONE, TWO, THREE = (Step(number, Run("true")) for number in (1, 2, 3))


def test_events_of_a_step_are_told_together() -> None:
    told: list[Event] = []
    ended = StepFinished(ONE, None, cached=False), StepFinished(TWO, None, cached=False)
    with Together(told.append) as together:
        for event in (
            StepStarted(ONE),
            StepStarted(TWO),
            StepOutput(TWO, b"two"),
            Warned("aside"),
            StepOutput(ONE, b"one"),
            StepStarted(THREE),
            ended[1],
            ended[0],
            StepOutput(THREE, b"three"),
        ):
            together.tell(event)

    assert told == [
        StepStarted(ONE),
        StepOutput(ONE, b"one"),
        ended[0],
        StepStarted(TWO),
        StepOutput(TWO, b"two"),
        ended[1],
        Warned("aside"),
        StepStarted(THREE),
        StepOutput(THREE, b"three"),
    ]


def test_a_turn_that_comes_too_late_is_given_on() -> None:
    stop = threading.Event()
    turn = Turn(stop)
    stop.set()

    for _ in range(2):
        with pytest.raises(StoppedError), turn:
            pytest.fail("nobody works on in a build that has failed")


def test_what_is_kept_of_another_step_s_output_is_bounded() -> None:
    told: list[Event] = []
    with Together(told.append) as together:
        together.tell(StepStarted(ONE))
        together.tell(StepStarted(TWO))
        for number in range(50):
            together.tell(StepOutput(TWO, bytes([number]) * 100_000))

    printed = b"".join(event.data for event in told if isinstance(event, StepOutput))
    assert len(printed) < 3_000_000
    assert printed.startswith(b"[earlier output is left out]\n")
    assert printed.endswith(bytes([49]) * 100_000)


def test_a_task_waits_for_those_that_it_looks_up_whatever_the_machine_has() -> None:
    def task(number: int) -> Callable[[Mapping[int, int]], int]:
        return lambda others: sum(others[below] for below in range(number)) + 1

    with Together(lambda _event: None) as together:
        found = run_in_order({number: task(number) for number in range(12)}, together)

    assert found == {number: 2**number for number in range(12)}


def test_tasks_that_do_not_wait_for_each_other_run_at_once() -> None:
    meeting = threading.Barrier(2)

    with Together(lambda _event: None) as together:
        run_in_order(dict.fromkeys((0, 1), lambda _others: meeting.wait(PATIENCE)), together)

    assert not meeting.broken


class Endless:
    """A runner whose commands last until they are told to end."""

    name = "endless"

    def __init__(self) -> None:
        self.begun = threading.Event()

    def check_platform(self, platform: Platform) -> None:
        raise AssertionError(platform)

    def run(self, command: Command, _mount: Mount, _output: Callable[[bytes], None]) -> CommandResult:
        self.begun.set()
        assert isinstance(command.stop, threading.Event)
        assert command.stop.wait(PATIENCE)
        raise StoppedError("stopped")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_command_ends_and_nobody_gets_a_turn_when_another_stage_fails(error: type[BaseException]) -> None:
    runner = Endless()
    late: list[int] = []

    with Together(lambda _event: None) as together:
        lending = together.lend_turn(runner)

        def running(_others: Mapping[int, None]) -> None:
            with together.turn:
                lending.run(Command("sleep"), None, lambda _data: None)  # type: ignore[arg-type]

        def failing(_others: Mapping[int, None]) -> None:
            assert runner.begun.wait(PATIENCE)
            # A command runs without the turn, so there is one to be had.
            with together.turn:
                raise error

        def following(others: Mapping[int, None]) -> None:
            _ = others[0]
            late.append(1)

        with pytest.raises(error):
            run_in_order({0: running, 1: failing, 2: following}, together)

    assert late == []
