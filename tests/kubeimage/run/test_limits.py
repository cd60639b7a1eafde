"""What a RUN may use, with each runner, each way to put up its walls, and each way to keep its limits."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kubeimage.errors import SandboxError
from kubeimage.mount.overlay import OverlayMount
from kubeimage.protocols.running import Command, CommandResult, CommandRunner, ImageRoot
from kubeimage.run import cgroups, limits, sandbox
from kubeimage.run.cgroups import Bounds, CgroupError, groups_for, own_hierarchies
from kubeimage.run.choose import choose_runner
from kubeimage.run.landlock import LandlockRunner, why_not
from kubeimage.run.plain import PlainRunner
from kubeimage.run.sandbox import SandboxRunner
from kubeimage.settings import RunSettings
from tests.kubeimage.run.conftest import FolderMount, Talker
from tests.kubeimage.run.processes import processes_with

MIB = 1 << 20
WAYS = {f"sandbox {number}": number for number in range(4)}
NO_TMP = {"landlock": "behind Landlock", "none": "without isolation"}
SOME = ("sandbox 0", "landlock")
NOBODY = 65534
ALLOWED = 60 * MIB
PYTHON = "/usr/bin/python3 -S -c"
THREADS = "from _thread import start_new_thread; from time import sleep"

# What is limited, to what, by a script that asks for more, and by one that asks for nearly as much.
LIMITS = {
    "a fork bomb": (RunSettings(pids=12), "bomb() { bomb | bomb & }; bomb; sleep 60", "sleep 0.01 | sleep 0.01 | cat"),
    "one that takes memory": (
        RunSettings(memory=ALLOWED),
        f"{PYTHON} 'len(bytearray(90 << 20))'",
        f"{PYTHON} 'len(bytearray(30 << 20))'",
    ),
    "several that take memory": (
        RunSettings(memory=ALLOWED),
        f"for n in 1 2 3; do {PYTHON} 'import time; a = bytes([1]) * (25 << 20); time.sleep(60)' & done; wait",
        f"for n in 1 2 3; do {PYTHON} 'a = bytes([1]) * (25 << 20)'; done",
    ),
    "threads": (
        RunSettings(pids=12),
        f"{PYTHON} '{THREADS}; [start_new_thread(sleep, (9,)) for n in range(30)]; sleep(60)'",
        f"{PYTHON} '{THREADS}; [start_new_thread(sleep, (0,)) for n in range(4)]'",
    ),
}  # fmt: skip
TELLING = {
    ("a group", "a fork bomb"),
    ("a group", "several that take memory"),
    ("looking", "one that takes memory"),
    ("looking", "several that take memory"),
    ("looking", "threads"),
}
SAYS = {
    "a fork bomb": "more than 12 processes at once (--pids): stopped",
    "threads": "more than 12 processes at once (--pids): stopped",
    "one that takes memory": "MemoryError",
    "several that take memory": "more than 60MiB of memory (--memory): stopped",
}

Make = Callable[[RunSettings], Talker]


def why_no_group(*, memory: int | None = 1 << 30, pids: int | None = 1000) -> str | None:
    try:
        with groups_for(Bounds(memory, pids)):
            return None
    except CgroupError as error:
        return str(error)


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


@pytest.fixture(params=["a group", "looking"])
def keeper(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What keeps the limits."""
    cause = why_no_group()
    if request.param == "a group":
        if cause is not None:
            pytest.skip(f"no control group can be made: {cause}")
        yield "a group"
        return
    with ExitStack() as stack:
        if cause is None:
            # A bomb is to harm nobody while it is looked for.
            wall = stack.enter_context(groups_for(Bounds(pids=300)))
            monkeypatch.setattr(limits._Watched, "prefix", wall.prefix)
        monkeypatch.setattr(cgroups, "own_hierarchies", dict)
        yield "looking"


def left_behind() -> list[str]:
    """The groups below this process's own that are nobody's; what others use is locked."""
    parents = {one.own for one in own_hierarchies().values()}
    found = [
        os.path.join(parent, one) for parent in parents for one in os.listdir(parent) if one.startswith("kubeimage-")
    ]
    return [one for one in found if not is_locked(one)]


def is_locked(folder: str) -> bool:
    return subprocess.run(["flock", "-n", folder, "true"], capture_output=True, check=False).returncode != 0


@pytest.mark.needs("python3")
@pytest.mark.parametrize("what", LIMITS)
def test_a_run_has_what_it_may_and_no_more(
    what: str, keeper: str, name: str, make: Make, request: pytest.FixtureRequest
) -> None:
    nightly = request.config.getoption("--hypothesis-profile") == "nightly"
    if not nightly and (name not in SOME or (keeper, what) not in TELLING):
        pytest.skip("one of its kind is enough: --hypothesis-profile=nightly")
    if keeper == "looking" and what == "a fork bomb" and why_no_group() is not None and name in NO_TMP:
        pytest.skip("nothing would hold it until it is seen")
    settings, more, enough = LIMITS[what]

    assert make(settings)(enough, timeout=30).status == 0
    result = make(settings)(more, timeout=30)

    assert (result.status != 0, result.timed_out) == (True, False)
    assert SAYS[what] in result.tail
    assert left_behind() == []


def test_a_limit_that_is_reached_ends_a_run_that_would_go_on(
    keeper: str, talk: Callable[[CommandRunner], Talker]
) -> None:
    say = talk(SandboxRunner({}, settings=RunSettings(pids=12)))

    result = say("for n in $(seq 40); do sleep 0.2 & done 2>/dev/null; wait; exit 0", timeout=30)

    assert result.status == -9


@pytest.mark.needs("python3")
def test_memory_that_processes_share_counts_once(keeper: str, talk: Callable[[CommandRunner], Talker]) -> None:
    say = talk(SandboxRunner({}, settings=RunSettings(memory=ALLOWED)))

    shared = "import os; from time import sleep; a = bytes([1]) * (25 << 20); os.fork(); os.fork(); sleep(0.2)"

    assert say(f"{PYTHON} '{shared}'", timeout=30).status == 0


def test_nothing_of_a_run_with_too_many_processes_is_left(make: Make, mark: str) -> None:
    say = make(RunSettings(pids=20))

    result = say(f"for i in $(seq 40); do sleep {mark} & done; wait", timeout=30)

    assert result.status == -9
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


def test_what_lies_in_tmp_is_memory(keeper: str, talk: Callable[[CommandRunner], Talker]) -> None:
    say = talk(SandboxRunner({}, settings=RunSettings(memory=ALLOWED)))

    assert say("head -c 30M /dev/zero > /tmp/x").status == 0
    assert say("head -c 90M /dev/zero > /tmp/x").status != 0
    assert say("head -c 90M /dev/zero > /dev/shm/x").status != 0


def in_image(folder: FolderMount, settings: RunSettings, *argv: str) -> CommandResult:
    """Run a program in an image's own root, whose programs are this machine's."""
    for name in ("bin", "lib", "lib64", "usr", "proc", "dev", "etc", "tmp"):
        Path(folder.rootfs, name).mkdir(exist_ok=True)
    return SandboxRunner({}, settings=settings).run(
        Command("", {"PATH": "/bin"}, timeout=30, image=ImageRoot(argv)), folder, lambda _data: None
    )


DOUBLED = "a=0123456789abcdef; n=0; while [ $n -lt {times} ]; do a=$a$a; n=$((n+1)); done"
"""A script that has 16 bytes, and so often twice as many."""
# As above, by a shell alone: what asks for more, what asks for nearly as much, and what is said.
INSIDE = {
    "a fork bomb": (RunSettings(pids=12), LIMITS["a fork bomb"][1], LIMITS["a fork bomb"][2], SAYS["a fork bomb"]),
    "many that stay": (
        RunSettings(pids=12),
        "n=0; while [ $n -lt 40 ]; do sleep 60 & n=$((n+1)); done; wait; exit 0",
        "n=0; while [ $n -lt 40 ]; do sleep 0; n=$((n+1)); done",
        SAYS["a fork bomb"],
    ),
    "one that takes memory": (
        RunSettings(memory=ALLOWED),
        DOUBLED.format(times=40),
        DOUBLED.format(times=18),
        "",
    ),
    "several that take memory": (
        RunSettings(memory=ALLOWED),
        f"for one in 1 2 3 4 5 6; do ({DOUBLED.format(times=20)}; sleep 60) & done; wait; exit 0",
        f"for one in 1 2 3; do ({DOUBLED.format(times=18)}); done",
        SAYS["several that take memory"],
    ),
    "files in shared memory": (
        RunSettings(memory=ALLOWED),
        "head -c 90000000 /dev/zero > /dev/shm/x",
        "head -c 30000000 /dev/zero > /dev/shm/x; rm /dev/shm/x",
        "",
    ),
}


@pytest.mark.needs("ldd")
@pytest.mark.parametrize("user", [(0, 0), (1000, 1000)], ids=["root", "a user"])
@pytest.mark.parametrize("what", INSIDE)
def test_a_run_in_an_images_own_root_has_what_it_may_and_no_more(
    what: str, user: tuple[int, int], keeper: str, image_mount: OverlayMount, request: pytest.FixtureRequest
) -> None:
    if user != (0, 0) and os.geteuid() != 0:
        pytest.skip("an ordinary user is but one user")
    nightly = request.config.getoption("--hypothesis-profile") == "nightly"
    if not nightly and (user == (0, 0)) != (keeper == "looking"):
        pytest.skip("one of its kind is enough: --hypothesis-profile=nightly")
    settings, more, enough, said = INSIDE[what]

    # The wall behind the one who looks refuses the next process: that ends a bomb, perhaps before anybody has looked.
    may_be_refused = what == "a fork bomb" and keeper == "looking"

    def run(script: str) -> CommandResult:
        image = ImageRoot(("/bin/sh", "-c", script), user=user)
        command = Command("", {"PATH": "/usr/bin:/bin"}, timeout=2 if may_be_refused else 30, image=image)
        return SandboxRunner({}, settings=settings).run(command, image_mount, lambda _data: None)

    assert run(enough).status == 0
    result = run(more)

    if may_be_refused and "Cannot fork" in result.tail:
        assert result.status != 0
        return
    assert (result.status != 0, result.timed_out) == (True, False)
    assert said in result.tail
    assert left_behind() == []


def test_in_an_images_own_root_tmp_is_the_images(folder: FolderMount) -> None:
    with pytest.raises(SandboxError, match="--tmp-size cannot be kept in an image's own root"):
        in_image(folder, RunSettings(tmp_size=MIB), "/bin/true")


def test_a_limit_that_is_too_little_to_begin_with_says_so_and_lowers_no_wall(keeper: str, folder: FolderMount) -> None:
    runner = choose_runner("auto", settings=RunSettings(memory=1000))

    if keeper == "a group":
        result = runner.run(Command("true", timeout=30), folder, lambda _data: None)
        assert result.tail.endswith("[more than 1000 bytes of memory (--memory): stopped]")
    else:
        with pytest.raises(SandboxError, match="the RUN could not be started") as caught:
            runner.run(Command("true", timeout=30), folder, lambda _data: None)
        assert caught.value.hint == "it may be that --memory is too little"
    assert runner.name == "sandbox"


def test_what_is_only_looked_after_is_said_once(folder: FolderMount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "own_hierarchies", dict)
    said: list[str] = []
    runner = choose_runner("sandbox", said.append, RunSettings(memory=ALLOWED, pids=50))

    for _ in range(2):
        runner.run(Command("true"), folder, lambda _data: None)

    assert said == [
        "--memory and --pids are kept by looking, some 50 times a second: no control group here counts memory or pids"
    ]
    assert limits.why_watched(RunSettings()) is None


STARTED = """
import os, sys
from kubeimage.mount.overlay import OverlayMount
from kubeimage.protocols.running import Command
from kubeimage.run.sandbox import SandboxRunner
from kubeimage.settings import RunSettings
from tests.kubeimage.run.conftest import FolderMount
runner = SandboxRunner({}, settings=RunSettings(memory=200 << 20, pids=50))
mount = FolderMount(sys.argv[1])
result = runner.run(Command(sys.argv[2], timeout=60), mount, lambda data: print(data.decode(), flush=True))
print("status", result.status, result.tail)
"""


def started(folder: FolderMount, script: str, *, uid: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STARTED, folder.rootfs, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        user=uid,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_group_outlives_a_build_that_is_stopped(number: int, folder: FolderMount, mark: str) -> None:
    if (cause := why_no_group()) is not None:
        pytest.skip(f"no control group can be made: {cause}")
    with started(folder, f"echo running; sleep {mark}") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
    deadline = time.monotonic() + 20
    while processes_with(f"sleep {mark}"):
        assert time.monotonic() < deadline
        time.sleep(0.01)

    if number == signal.SIGKILL:
        assert left_behind() != []
        # Who is killed removes nothing; the next one does.
        while left_behind():
            assert time.monotonic() < deadline
            assert (
                Talker(SandboxRunner({}, settings=RunSettings(memory=200 * MIB, pids=50)), folder)("true").status == 0
            )
    assert left_behind() == []


@pytest.fixture
def handed_over() -> Iterator[list[str]]:
    """Groups, below this process's own, that belong to an ordinary user."""
    if os.geteuid() != 0:
        pytest.skip("only root hands over a control group")
    found = own_hierarchies()
    if {one.version for name, one in found.items() if name in ("memory", "pids")} != {1}:
        pytest.skip("no cgroup v1 to hand over a part of")
    if (cause := why_no_group()) is not None:
        pytest.skip(f"no control group can be made: {cause}")
    groups = [os.path.join(found[name].own, f"handed-over-{os.getpid()}") for name in ("memory", "pids")]
    for group in groups:
        os.mkdir(group)
        os.chown(group, NOBODY, NOBODY)
        os.chown(os.path.join(group, "cgroup.procs"), NOBODY, NOBODY)
    yield groups
    for group in groups:
        os.rmdir(group)


def test_an_ordinary_user_makes_groups_in_one_that_was_handed_over(handed_over: list[str]) -> None:
    folder = FolderMount("/var/empty" if os.path.isdir("/var/empty") else "/srv")
    joined = " && ".join(f"echo 0 > {group}/cgroup.procs" for group in handed_over)
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    script = "bomb() { bomb | bomb & }; bomb; sleep 60"
    python = [*drop, sys.executable, "-c", STARTED, folder.rootfs, script]

    done = subprocess.run(
        ["sh", "-c", f'{joined} && exec "$@"', "sh", *python], capture_output=True, text=True, check=False, timeout=60
    )

    assert "more than 50 processes at once (--pids): stopped" in done.stdout, done.stderr
    assert [one for group in handed_over for one in os.listdir(group) if one.startswith("kubeimage-")] == []
