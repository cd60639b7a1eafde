"""A system that fails a command at any of its calls: what is told, what is left, and what it does again."""

import errno
import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from harness.faults.faults import SHORT, Error, IoFaults, Torn
from harness.faults.iocalls import LOOKING
from kubeimage.api.inventories import take_inventory
from kubeimage.errors import KubeimageError, StoreFullError
from kubeimage.image.digest import Digest
from tests.faults.commands import COMMANDS, Bench, names, opened

# What fails, what may be told of it, and every so-manieth call that is enough for a quick run.
ERRORS = [
    pytest.param(errno.ENOSPC, StoreFullError, 13, id="ENOSPC"),
    pytest.param(errno.EIO, KubeimageError, 31, id="EIO"),
    pytest.param(errno.EMFILE, KubeimageError, 11, id="EMFILE"),
    pytest.param(errno.EINTR, KubeimageError, 17, id="EINTR"),
    pytest.param(SHORT, (), 11, id="short reads and writes"),
    pytest.param(KeyboardInterrupt, KeyboardInterrupt, 29, id="interrupt"),
]


def attempt(fault: IoFaults, command: str, folder: Path) -> object:
    """Do a command under a fault; an expected failure is given, another one is raised."""
    try:
        with fault:
            return COMMANDS[command](folder)
    except (KubeimageError, KeyboardInterrupt) as failure:
        return failure


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def closes_all(opened: int) -> bool:
    """Whether no more than so many files are open, at last.

    The registry in this process hears a little later of an end, or first of a connection that has ended already.
    """
    deadline = time.monotonic() + 10
    while open_files() > opened:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("error", "allowed", "step"), ERRORS)
def test_a_command_that_fails_at_any_call_leaves_a_whole_store(
    bench: Bench, command: str, error: Error, allowed: type[BaseException], step: int, full: bool
) -> None:
    check(bench, command, IoFaults.every(error, step=1 if full else step), allowed)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("number", "step"), [(errno.ENOSPC, 9), (errno.EIO, 19)], ids=["ENOSPC", "EIO"])
def test_half_a_write_and_then_an_error(bench: Bench, command: str, number: int, step: int, full: bool) -> None:
    check(bench, command, IoFaults.every(Torn(number), step=1 if full else step), KubeimageError)


@pytest.mark.parametrize(
    ("command", "error", "calls"),
    [
        pytest.param("rmi", errno.EIO, {"flock"}, id="locks that cannot be taken"),
        pytest.param("build", KeyboardInterrupt, {"flock"}, id="an interrupt with the lock just taken"),
        pytest.param("build", KeyboardInterrupt, {"close"}, id="an interrupt while files are closed"),
        pytest.param("save", errno.EIO, {"open", "read"}, id="records and layers that cannot be read"),
        pytest.param("load", errno.EIO, {"open", "read"}, id="an archive that cannot be read"),
    ],
)
def test_calls_that_were_not_minded_once(bench: Bench, command: str, error: Error, calls: set[str]) -> None:
    allowed = KubeimageError if isinstance(error, int) else KeyboardInterrupt

    check(bench, command, IoFaults.every(error, among=frozenset(calls)), allowed)


@pytest.mark.parametrize("error", [errno.EIO, errno.EMFILE, errno.EINTR])
def test_an_inventory_is_whole_or_names_what_it_lacks(bench: Bench, error: int) -> None:
    place = bench.fresh("tag")

    def listed() -> set[Digest]:
        with opened(place, access="read") as backends:
            found = take_inventory(None, backends)
            # A damaged image is left out, and named.
            return set(found.digests) if not found.warnings else set()

    whole = listed()
    assert len(whole) > 5
    for fault in IoFaults.every(error, step=7):
        try:
            with fault:
                found = listed()
        except KubeimageError:
            continue
        assert found in (whole, set()), fault


def check(bench: Bench, command: str, faults: Iterable[IoFaults], allowed: type[BaseException]) -> None:
    """Let a command have each fault: it tells of it, keeps nothing open, and leaves what it can go on from."""
    expected = bench.expected(command)
    opened = open_files()
    for fault in faults:
        outcome = attempt(fault, command, bench.fresh(command))

        assert outcome == expected or isinstance(outcome, allowed), (fault, outcome)
        assert closes_all(opened), fault
        assert bench.problems(command, done=outcome == expected) == [], fault


def test_the_list_of_another_tool_is_not_replaced_where_nobody_can_see_whether_it_is_there(bench: Bench) -> None:
    """A layout that skopeo made becomes a store with the first command that writes to it."""
    for fault in IoFaults.every(errno.EIO, among=LOOKING):
        folder = bench.fresh("tag")
        before = names(folder)
        (folder / "store/kubeimage.json").unlink()

        attempt(fault, "tag", folder)

        assert names(folder).keys() == before.keys(), fault
