"""What a RUN may use, with each runner and each way to put up its walls."""

from collections.abc import Callable

import pytest

from kubeimage.errors import SandboxError
from kubeimage.protocols.running import CommandRunner
from kubeimage.run import sandbox
from kubeimage.run.landlock import LandlockRunner, why_not
from kubeimage.run.plain import PlainRunner
from kubeimage.run.sandbox import SandboxRunner
from kubeimage.settings import RunSettings
from tests.kubeimage.run.conftest import Talker
from tests.kubeimage.run.processes import processes_with

MIB = 1 << 20
WAYS = {f"sandbox {number}": number for number in range(4)}
NO_TMP = {"landlock": "behind Landlock", "none": "without isolation"}

Make = Callable[[RunSettings], Talker]


def make_runner(name: str, settings: RunSettings) -> CommandRunner:
    if name == "landlock":
        return LandlockRunner({}, settings=settings)
    if name == "none":
        return PlainRunner({}, settings=settings)
    runner = SandboxRunner({}, settings=settings)
    runner._ways = [sandbox._WAYS[WAYS[name]]]
    return runner


@pytest.fixture(params=[*WAYS, *NO_TMP])
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "landlock" and why_not() is not None:
        pytest.skip(f"no Landlock to try: {why_not()}")
    return str(request.param)


@pytest.fixture
def make(name: str, talk: Callable[[CommandRunner], Talker]) -> Make:
    return lambda settings: talk(make_runner(name, settings))


@pytest.mark.needs("python3")
def test_memory_is_what_each_process_may_have(make: Make) -> None:
    script = "/usr/bin/python3 -c 'len(bytearray(200 << 20))'"

    assert make(RunSettings(memory=100 * MIB))(script).status != 0
    assert make(RunSettings(memory=400 * MIB))(script).status == 0


def test_a_run_with_too_many_processes_is_stopped(make: Make, mark: str) -> None:
    say = make(RunSettings(pids=20))

    result = say(f"for i in $(seq 40); do sleep {mark} & done; wait", timeout=30)

    assert result.status == -9
    assert "more than 20 processes at once (--pids): stopped" in result.tail
    assert processes_with(f"sleep {mark}") == []


def test_as_many_processes_as_allowed_are_no_trouble(make: Make) -> None:
    result = make(RunSettings(pids=20))("for i in $(seq 15); do sleep 0.2 & done; wait; echo done")

    assert (result.status, result.tail) == (0, "done")


def test_tmp_holds_what_it_may_and_no_more(name: str, make: Make) -> None:
    say = make(RunSettings(tmp_size=MIB))
    if name in NO_TMP:
        with pytest.raises(SandboxError, match=f"--tmp-size cannot be kept {NO_TMP[name]}"):
            say("true")
        return

    for folder in ("/tmp", "/dev/shm"):
        assert say(f"head -c 900000 /dev/zero > {folder}/x").status == 0
        assert "No space left" in say(f"head -c 2000000 /dev/zero > {folder}/x").tail
